"""Digests by which stored rows are recognised stay what they were in the first release.

`reading_digests.json` was written by commit 3fd403b, before `NOT_CONTENT` replaced lists.
Those of files and VASP runs are newer: a store reads these once more, as some were wrong.
"""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from crystalgnn_core.sources import AnySource
from tests.core.sources.plans import parts_of

CASES = json.loads(Path(__file__).with_name("reading_digests.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["settings"]))
def test_a_stored_source_is_still_recognised_by_its_settings(case):
    source = TypeAdapter(AnySource).validate_python(case["settings"])
    assert source.reading_digest() == case["digest"]
    if "parts" in case:
        assert [part.digest for part in parts_of(source)] == case["parts"]
