from typing import get_args

import pytest

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import ConfigError, LabelSchemeError
from crystalgnn_core.learning.conversion import SCHEMES
from crystalgnn_core.models.published.catalogue import catalogue
from crystalgnn_core.models.published.entry import PublishedEntry
from crystalgnn_core.records import label_schemes as schemes
from crystalgnn_core.records.label_schemes import (
    LABEL_SCHEMES,
    checked_scheme,
    count_schemes,
    describe_scheme,
    refuse_mixture,
)
from crystalgnn_core.sources.optimade.providers import PROVIDERS
from crystalgnn_core.sources.synthetic.model.labels import LABEL_SCHEME
from crystalgnn_core.sources.union import BuiltinSource


def test_every_known_name_is_accepted_and_described():
    for name, scheme in LABEL_SCHEMES.items():
        assert checked_scheme(name) == scheme.name == name
        assert scheme.description in describe_scheme(name)


def test_the_schemes_of_this_package_are_known_or_synthetic():
    published = {entry.label_scheme for entry in catalogue().values()}
    published |= {
        column.label_scheme
        for provider in PROVIDERS.values()
        for column in provider.targets.values()
    }
    assert published | set(SCHEMES.values()) <= LABEL_SCHEMES.keys()
    assert "model world" in describe_scheme(LABEL_SCHEME)
    assert checked_scheme(LABEL_SCHEME) == LABEL_SCHEME


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("mp gga/gga+u mp2020", "MP GGA/GGA+U MP2020"),
        ("MP  GGA / GGA+U  MP2020", "MP GGA/GGA+U MP2020"),
        ("MP GGA_GGA+U MP2020", "MP GGA/GGA+U MP2020"),
        ("MP GGA/GGA-U MP2020", "MP GGA/GGA+U MP2020"),
        ("MP GGA+U MP2020", "MP GGA/GGA+U MP2020"),
        ("MP PBE+U MP2020", "MP GGA/GGA+U MP2020"),
        ("MP Legacy", "MP legacy"),
        ("R2SCAN", "r2SCAN"),
        ("r\N{SUPERSCRIPT TWO}SCAN", "r2SCAN"),
        ("jarvis optb88vdw", "JARVIS OptB88vdW"),
        ("OptB88vdW", "JARVIS OptB88vdW"),
        ("TB-mBJ", "MBJ"),
        ("AFLOW-AGL", "AFLOW AGL"),
        ("experiment 298 K", "experiment-298K"),
        ("MP-20", "MP 2021 (MP-20)"),
        ("MP GGA_GGA+U_R2SCAN", "MP GGA/GGA+U/r2SCAN mixed"),
        ("MP GGA_GGA+U", "MP GGA/GGA+U"),
    ],
)
def test_a_known_scheme_in_another_spelling_is_refused_with_the_right_one(text, right):
    with pytest.raises(ValueError, match="another spelling") as caught:
        checked_scheme(text)
    assert f"write {right!r}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "PBE our-settings-2026",
        "WBM (PBE, offset to MP unknown)",
        "rSCAN",  # another functional
        "AFLOW AEL",  # another method
        "experiment-300K",
        "MP GGA/GGA+U MP2025",  # other corrections
        "JARVIS OptB86bvdW",
        "synthetic-2",
    ],
)
def test_other_texts_are_free(text):
    assert checked_scheme(text) == text


def test_made_up_labels_are_recognisable_by_their_first_letters():
    with pytest.raises(ValueError, match=r"begin with 'synthetic-'"):
        checked_scheme("Synthetic 2")
    with pytest.raises(ValueError, match="says how labels were computed"):
        checked_scheme("  ")


def test_no_spelling_stands_for_two_schemes():
    spellings = [
        schemes._normalised(text)
        for scheme in LABEL_SCHEMES.values()
        for text in dict.fromkeys(
            map(schemes._normalised, (scheme.name, *scheme.spellings))
        )
    ]
    assert len(set(spellings)) == len(spellings)


def test_a_configuration_is_refused_with_the_right_spelling():
    from crystalgnn_core.config import load_config

    target = {"band_gap": {"column": "gap", "label_scheme": "MP Gga+U MP2020"}}
    source = {"kind": "files", "name": "mp", "path": "x.csv", "targets": target}
    with pytest.raises(ConfigError, match=r"label_scheme.*write 'MP GGA/GGA\+U MP2020'"):
        load_config(base={"sources": [source]})


def fields_of(annotation):
    """Yield the settings below a type, by name, with those of nested configurations."""
    if isinstance(annotation, type) and issubclass(annotation, FrozenModel):
        for name, field in annotation.model_fields.items():
            yield annotation.__name__, name, repr(field)
            yield from fields_of(field.annotation)
    for inner in get_args(annotation):
        yield from fields_of(inner)


def test_every_setting_that_names_a_label_scheme_is_checked():
    found = {
        entry
        for root in (*get_args(BuiltinSource), PublishedEntry)
        for entry in fields_of(root)
        if "label_scheme" in entry[1]
    }
    assert {owner for owner, *_ in found} == {
        "ElementalReferences",
        "FormationEnergy",
        "PublishedEntry",
        "TargetColumn",
        "VaspSource",
    }
    assert [entry for entry in found if "AfterValidator" not in entry[2]] == []


def test_schemes_of_vasp_runs_are_refused_with_the_right_spelling():
    from crystalgnn_core.config import load_config

    source = {"kind": "vasp", "name": "runs", "path": "x"}
    schemes_given = {"label_schemes": {"band_gap": "mp gga_gga+u"}}
    with pytest.raises(ConfigError, match=r"label_schemes.*write 'MP GGA/GGA\+U'"):
        load_config(base={"sources": [source | schemes_given]})


def test_labels_are_counted_by_scheme_and_source():
    counts = count_schemes(["b", "a", "b", "b"], ["x", "x", "y", "x"])
    assert counts == {"a": {"x": 1}, "b": {"x": 2, "y": 1}}
    assert list(counts) == ["a", "b"]


def test_a_mixture_is_refused_with_an_explanation():
    counts = {schemes.JARVIS_OPTB88VDW: {"jarvis": 1200}, "own": {"ours": 3, "theirs": 4}}
    with pytest.raises(LabelSchemeError) as caught:
        refuse_mixture("band_gap", counts, where="one hull", setting="a.b")
    message = str(caught.value)
    for told in (
        "band_gap: labels of different schemes (JARVIS OptB88vdW, own) in one hull",
        "(JARVIS-DFT, OptB88vdW (DFT, van der Waals)): 1,200 rows of jarvis",
        "'own' (described by its name alone): 3 rows of ours, 4 rows of theirs",
        "set a.b: true",
    ):
        assert told in message
    refuse_mixture("band_gap", {"own": {"ours": 3}}, where="one hull", setting="a.b")
    refuse_mixture("band_gap", {}, where="one hull", setting="a.b")


def test_a_mixture_is_described_part_by_part():
    told = describe_scheme(f"{schemes.MBJ} + {schemes.R2SCAN}")
    assert told.startswith("mixed on request: gaps of the modified Becke-Johnson")
    assert "r2SCAN without empirical corrections" in told
