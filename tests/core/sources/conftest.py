from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crystalgnn_core.errors import RecordError
from tests.core.sources.materials_project.service import KEY, Service, running_service
from tests.core.sources.materials_project.world import N_MATERIALS, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def reason_and_message(reader: Callable[..., object], value: object) -> tuple[str, str]:
    """Call a reader on what it must refuse."""
    with pytest.raises(RecordError) as caught:
        reader(value)
    return caught.value.reason, str(caught.value)


@pytest.fixture(scope="session")
def refused() -> Callable[..., tuple[str, str]]:
    return reason_and_message


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """An imitation of the Materials Project that holds some materials."""
    monkeypatch.setenv("MP_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_service() as running:
        fill(running, N_MATERIALS)
        yield running
