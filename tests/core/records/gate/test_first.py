"""First versions: wrong units and lost rows are found, sound sets and tiny ones pass."""

import numpy as np
import pytest

from crystalgnn_core.errors import RecordError, SuspiciousDataError
from crystalgnn_core.records.checks.validation import rejects_table
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.records.gate.acceptance import require_accepted
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.labels import checked_labels, implausible_value
from crystalgnn_core.records.schema import RawRecord, RejectedRecord
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.targets import TARGETS
from tests.benchmarks.first_versions import cases_of, converted, judge_first
from tests.benchmarks.gate_data import _mp20, _perovskites, _synthetic
from tests.core.records.made_rows import ENERGY, GAP, with_columns
from tests.core.worlds import in_memory
from tests.paths import DATA

METALS = ("Ti", "Mn", "Mg", "Al", "Fe", "Zn")
ANIONS = {"O": -2.4, "S": -1.2, "F": -3.0, "Cl": -1.6}
N = 120


def oxides_and_others(n=N, seed=0):
    """Rows of binary compounds whose energies are about those of databases."""
    rng = np.random.default_rng(seed)
    anions, metals = rng.choice(list(ANIONS), n), rng.choice(METALS, n)
    sizes = rng.integers(1, 8, n)
    gaps = np.where(rng.random(n) < 0.4, 0.0, rng.gamma(4.0, 1.0, n))
    energies = np.array([ANIONS[a] for a in anions]) * rng.uniform(0.5, 1.3, n)
    numbers = [
        [NUMBER_OF_SYMBOL[metal], NUMBER_OF_SYMBOL[anion]] * int(size)
        for metal, anion, size in zip(metals, anions, sizes, strict=True)
    ]
    return with_columns(
        None,
        source=["s"] * n,
        material_id=[f"m{index}" for index in range(n)],
        formula=[f"{metal}{anion}" for metal, anion in zip(metals, anions, strict=True)],
        chemsys=["-".join(sorted(pair)) for pair in zip(metals, anions, strict=True)],
        n_sites=(2 * sizes).tolist(),
        atomic_numbers=numbers,
        structure_digest=[f"d{index}" for index in range(n)],
        **{
            ENERGY: energies,
            GAP: gaps,
        },
    )


def alarms(report):
    return "\n".join(entry.message for entry in report.findings if entry.is_alarm)


def commit_first(store, table, rejects):
    log = GateLog(store, "s")
    log.begin()
    records = RecordStore(store)
    records.replace_records("s", in_memory(table))
    records.replace_rejects("s", "ingest", rejects_table(rejects))
    return log.judge()


def refused(n, reason="unreadable_structure", message="broken"):
    return [RejectedRecord("s", f"r{i}", "ingest", reason, message) for i in range(n)]


def test_a_sound_first_version_is_a_large_update():
    report = judge_first(oxides_and_others())
    assert report.verdict == "large update", report.reasons


@pytest.mark.parametrize(
    ("target", "case", "hint"),
    [
        (ENERGY, "meV", "meV instead of eV"),
        (ENERGY, "kJ/mol", "kJ/mol instead of eV"),
        (ENERGY, "kcal/mol", "kcal/mol instead of eV"),
        (ENERGY, "hartree", "hartree instead of eV"),
        (ENERGY, "rydberg", "rydberg instead of eV"),
        (ENERGY, "per cell", "eV instead of eV/atom"),
        (ENERGY, "total energies", "total energies instead of formation energies"),
        (GAP, "meV", "meV instead of eV"),
        (GAP, "kJ/mol", "kJ/mol instead of eV"),
        (GAP, "hartree", "hartree instead of eV"),
    ],
)
def test_labels_in_a_wrong_unit_are_suspicious_and_the_unit_is_named(target, case, hint):
    rows = oxides_and_others()
    [convert] = [c for t, name, c in cases_of(rows) if (t, name) == (target, case)]
    report = judge_first(converted(rows, target, convert))
    assert report.is_suspicious
    assert hint in alarms(report)


def test_a_column_of_zeros_is_suspicious_without_a_guess():
    rows = oxides_and_others()
    report = judge_first(converted(rows, ENERGY, lambda values, *_: 0.0 * values))
    assert report.is_suspicious
    assert "it looks like" not in alarms(report)


def test_moduli_as_logarithms_are_named():
    rows = oxides_and_others()
    moduli = np.random.default_rng(0).gamma(3.0, 30.0, N) + 10.0
    schemes = {"bulk_modulus_scheme": ["PBE"] * N}
    sound = with_columns(rows, bulk_modulus=moduli, **schemes)
    assert not judge_first(sound).is_suspicious
    wrong = with_columns(rows, bulk_modulus=np.log10(moduli), **schemes)
    assert "log10(GPa) instead of GPa" in alarms(judge_first(wrong))


def test_too_few_rows_are_not_judged():
    rows = oxides_and_others(n=12)
    assert not judge_first(converted(rows, ENERGY, lambda e, _: e / 27.2)).is_suspicious


def test_elements_and_their_alloys_are_not_judged_by_size():
    rows = oxides_and_others()
    pure = with_columns(rows, atomic_numbers=[[11, 11]] * N)
    assert not judge_first(converted(pure, ENERGY, lambda e, _: 0.0 * e)).is_suspicious


def test_a_source_that_loses_most_of_its_rows_says_why(tmp_path):
    rows = oxides_and_others(n=40)
    few = commit_first(tmp_path / "few", rows, refused(19))
    assert not few.is_suspicious
    report = commit_first(tmp_path, rows, [*refused(60), *refused(3, "no_atoms", "empty")])
    assert report.reasons == (
        "63 of 103 rows (61.2 %) were refused: unreadable_structure 60, no_atoms 3",
    )
    with pytest.raises(SuspiciousDataError, match="suspicious with nothing before: 63 of"):
        require_accepted(tmp_path, ["s"])
    GateLog(tmp_path, "s").accept("checked")
    require_accepted(tmp_path, ["s"])


def test_structures_without_a_line_in_the_label_table_are_no_alarm(tmp_path):
    rows = oxides_and_others(n=40)
    table = commit_first(tmp_path, rows, refused(400, "missing_label", "no label"))
    assert not table.is_suspicious
    lost = commit_first(tmp_path / "x", rows, refused(4000, "missing_label", "no label"))
    assert "do the ids of the label table and of the structures agree?" in alarms(lost)


def test_a_first_version_of_nothing_but_rejects_is_suspicious(tmp_path):
    report = commit_first(tmp_path, oxides_and_others(n=1).slice(0, 0), refused(30))
    assert report.is_suspicious


def test_a_suspicious_version_is_no_base_for_the_next(tmp_path):
    """A repaired source is judged as a first version again, not beside the wrong one."""
    rows = oxides_and_others()
    wrong = converted(rows, ENERGY, lambda energies, _: energies / 27.2)
    assert commit_first(tmp_path, wrong, []).is_suspicious
    report = commit_first(tmp_path, rows, [])
    assert (report.verdict, report.version_before) == ("large update", None)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_value_of_an_implausible_label_is_found_in_its_message(name):
    target = TARGETS[name]
    if target.is_class:
        return
    for value in (target.maximum * 7 + 1, target.minimum - 3.25e7):
        raw = RawRecord("m", None, {name: value}, {name: "PBE"})
        with pytest.raises(RecordError) as caught:
            checked_labels(raw)
        found, number = implausible_value(f"m: {caught.value}")
        assert found == name
        assert number == pytest.approx(value, rel=1e-5)


def test_an_ingest_of_kilojoules_is_suspicious_and_says_so(tmp_path):
    poscar = "NaCl\n5.6\n0 .5 .5\n.5 0 .5\n.5 .5 0\nNa Cl\n1 1\ndirect\n0 0 0\n.5 .5 .5\n"
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(60):
        (folder / f"s{number}.vasp").write_text(poscar)
    lines = [f"s{number},{-2.1 * 96.485 + number}" for number in range(60)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,e", *lines]))
    source = FilesSource.model_validate(
        {
            "name": "mine",
            "path": str(folder),
            "labels": str(tmp_path / "labels.csv"),
            "targets": {ENERGY: {"column": "e", "label_scheme": "ours"}},
        }
    )
    report = ingest_source(tmp_path / "store", source)
    assert report.gate is not None
    assert report.gate.is_suspicious
    assert (
        "60 of 60 rows (100.0 %) were refused: implausible_label 60"
        in report.gate.reasons[0]
    )
    assert "kJ/mol instead of eV" in report.gate.reasons[0]


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.slow
def test_real_sets_are_sound_and_found_wrong_in_any_size():
    """The script `tests/benchmarks/first_versions.py` on three sets."""
    rng = np.random.default_rng(0)
    for table in (_mp20(), _perovskites(), _synthetic(0)):
        for n in (20, 100, 400):
            rows = table.take(rng.permutation(len(table))[:n])
            for target, case, convert in cases_of(rows):
                report = judge_first(converted(rows, target, convert))
                if case == "sound" or n == 20:
                    assert not (case == "sound" and report.is_suspicious), report.reasons
                elif target == ENERGY and not case.startswith("total"):
                    assert report.is_suspicious, (n, case)
