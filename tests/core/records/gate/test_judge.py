"""The gate on made cases: unit errors are found and named, and growth is no alarm."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalgnn_core.records.gate.judge import judge
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.gate.profile import profile_rows
from crystalgnn_core.records.gate.report import GateConfig
from crystalgnn_core.records.table.diff import compare_versions
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.targets import scheme_column
from tests.core.records.made_rows import (
    ENERGY,
    GAP,
    SCHEME,
    commit,
    ingest,
    judge_tables,
    plausible,
    read_formula,
    rows,
    with_columns,
    with_unit_error,
)
from tests.paths import DATA

MP20 = DATA / "mp20.parquet"
OLD = rows()
NEW = rows(seed=1)
N = len(OLD)


def sites(table):
    return table["n_sites"].to_numpy()


def verdict_of(tmp_path, *tables):
    """Ingest tables one after the other; return the last verdict."""
    for table in tables:
        report = ingest(tmp_path, *(table if isinstance(table, tuple) else (table,)))
    return report


def alarms(report):
    return {
        finding.check: finding.message for finding in report.findings if finding.is_alarm
    }


def test_the_first_version_is_a_large_update(tmp_path):
    report = verdict_of(tmp_path, OLD)
    assert report.verdict == "large update"
    assert report.reasons == ("there was nothing before: 0 -> 600 rows",)
    assert (report.version_before, report.n_new) == (None, N)


def test_the_same_rows_are_unchanged(tmp_path):
    order = np.random.default_rng(0).permutation(N)
    report = verdict_of(tmp_path, OLD, OLD.take(order))
    assert report.verdict == "unchanged"
    assert report.n_touched == 0


def test_one_percent_more_is_a_small_update(tmp_path):
    report = verdict_of(tmp_path, OLD, pa.concat_tables([OLD, NEW.slice(0, 6)]))
    assert report.verdict == "small update"
    assert report.reasons == ("rows 600 -> 606: 6 new, 0 changed, 0 removed",)


def test_half_the_rows_replaced_by_the_alike_is_a_large_update(tmp_path):
    mixed = pa.concat_tables([OLD.slice(0, N // 2), NEW.slice(0, N // 2)])
    report = verdict_of(tmp_path, OLD, mixed)
    assert report.verdict == "large update"
    assert (report.n_new, report.n_removed) == (N // 2, N // 2)


def test_energies_of_cells_in_place_of_atoms_are_named(tmp_path):
    report = verdict_of(tmp_path, OLD, plausible(with_unit_error(OLD, sites(OLD))))
    assert report.is_suspicious
    found = alarms(report)
    assert "eV instead of eV/atom: new/old = n_sites in " in found["slip"]
    assert "implausible_label 0 -> " in found["rejects"]
    assert report.reasons[0] == found["slip"]


def test_a_unit_error_of_new_rows_alone_is_named(tmp_path):
    grown = pa.concat_tables([OLD, NEW.slice(0, 180)])  # 30 % more
    report = verdict_of(
        tmp_path, OLD, plausible(with_unit_error(grown, sites(grown), first=N))
    )
    assert report.is_suspicious
    assert "eV instead of eV/atom (new/old = n_sites)" in alarms(report)["range"]


def test_a_unit_error_of_a_third_of_the_new_rows_is_named(tmp_path):
    grown = pa.concat_tables([OLD, NEW.slice(0, 180)])
    report = verdict_of(
        tmp_path, OLD, plausible(with_unit_error(grown, sites(grown), first=N + 126))
    )
    assert report.is_suspicious
    assert "eV instead of eV/atom (new/old = n_sites)" in alarms(report)["range"]


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (-1.0, "sign turned"),
        (0.0367493, "hartree instead of eV"),
        (1e-3, "keV instead of eV, or eV taken for meV"),
    ],
)
def test_wrong_factors_are_named_in_old_and_in_new_rows(tmp_path, factor, name):
    report = verdict_of(tmp_path, OLD, with_unit_error(OLD, factor))
    assert name in alarms(report)["slip"]
    grown = pa.concat_tables([OLD, NEW])
    report = verdict_of(tmp_path / "new", OLD, with_unit_error(grown, factor, first=N))
    assert name in alarms(report)["mean"]


@pytest.mark.parametrize(
    ("convert", "name"),
    [
        (lambda moduli: 10 * moduli, "kbar instead of GPa"),
        (lambda moduli: moduli / 100, "Mbar instead of GPa"),
        (np.log10, "log10(GPa) instead of GPa"),
    ],
)
def test_unit_errors_of_moduli_are_named(tmp_path, convert, name):
    moduli = np.random.default_rng(0).gamma(3.0, 15.0, N) + 12.0
    schemes = {"bulk_modulus_scheme": ["PBE"] * N}
    before = with_columns(OLD, bulk_modulus=moduli, **schemes)
    after = with_columns(OLD, bulk_modulus=convert(moduli), **schemes)
    assert name in alarms(verdict_of(tmp_path, before, after))["slip"]


def test_a_fixed_unit_error_names_the_version_before(tmp_path):
    wrong, n_rejected = plausible(with_unit_error(OLD, sites(OLD)))
    verdict_of(tmp_path, (wrong, n_rejected))
    GateLog(tmp_path, "s").accept("not looked at")
    report = verdict_of(tmp_path, OLD)
    assert "new/old = 1/n_sites" in alarms(report)["slip"]


def test_missing_rows_are_counted(tmp_path):
    report = verdict_of(tmp_path, OLD, OLD.slice(0, 420))
    assert report.is_suspicious
    assert alarms(report) == {
        "rows": "rows 600 -> 420, 30.0 % lost: 0 new, 0 changed, 180 removed"
    }


def test_a_source_without_rows_is_suspicious(tmp_path):
    assert "100.0 % lost" in alarms(verdict_of(tmp_path, OLD, OLD.slice(0, 0)))["rows"]


def test_missing_labels_are_counted(tmp_path):
    gaps = [None] * 180 + OLD[GAP].to_pylist()[180:]
    schemes = [None] * 180 + [SCHEME] * 420
    after = with_columns(OLD, **{GAP: gaps, scheme_column(GAP): schemes})
    report = verdict_of(tmp_path, OLD, after)
    assert alarms(report) == {
        "labels": "band_gap: labels 600 -> 420, rows that have one 100.0 % -> 70.0 %"
    }


def test_new_rows_without_labels_that_all_had_are_counted(tmp_path):
    few = NEW.slice(0, 30)
    gaps = [None] * 10 + few[GAP].to_pylist()[10:]
    schemes = [None] * 10 + [SCHEME] * 20
    bare = with_columns(few, **{GAP: gaps, scheme_column(GAP): schemes})
    assert alarms(verdict_of(tmp_path, OLD, pa.concat_tables([OLD, bare]))) == {
        "new labels": "band_gap: rows without a label 0.0 % -> 33.3 % of the 30 new ones"
    }


def test_new_rows_that_all_lack_labels_that_most_had_are_noticed():
    def with_gaps(table, n):
        gaps = table[GAP].to_pylist()[:n] + [None] * (len(table) - n)
        schemes = [SCHEME] * n + [None] * (len(table) - n)
        return with_columns(table, **{GAP: gaps, scheme_column(GAP): schemes})

    before, few = with_gaps(OLD, 450), NEW.slice(0, 30)
    bare = pa.concat_tables([before, with_gaps(few, 2)])
    assert "25.0 % -> 93.3 % of the 30" in alarms(judge_tables(before, bare))["new labels"]
    fewer = pa.concat_tables([before, with_gaps(few, 15)])
    assert not judge_tables(before, fewer).is_suspicious
    rare = with_gaps(OLD, 200)  # such as moduli, which are computed later
    assert not judge_tables(
        rare, pa.concat_tables([rare, with_gaps(NEW.slice(0, 60), 0)])
    ).is_suspicious


def test_a_switched_scheme_is_named(tmp_path):
    after = with_columns(OLD, **{scheme_column(GAP): [SCHEME] * 400 + ["r2SCAN"] * 200})
    assert alarms(verdict_of(tmp_path, OLD, after)) == {
        "scheme": "band_gap: label scheme switched in 200 rows "
        f"('{SCHEME}' -> 'r2SCAN' in 200)"
    }


def test_new_rows_of_another_scheme_are_named(tmp_path):
    other = with_columns(NEW, **{scheme_column(GAP): ["MBJ"] * N})
    found = alarms(verdict_of(tmp_path, OLD, pa.concat_tables([OLD, other])))
    assert found["scheme"].startswith(
        "band_gap: labels of each scheme MBJ 0 -> 600; 50.0 %"
    )


def test_a_changed_licence_is_named_and_a_first_one_is_no_alarm(tmp_path):
    free = with_columns(OLD, license=["CC-BY-NC-4.0"] * N)
    found = alarms(verdict_of(tmp_path, OLD, free))
    assert found == {
        "license": "licence changed in 600 rows ('CC-BY-4.0' -> 'CC-BY-NC-4.0' in 600)"
    }
    none = with_columns(OLD, license=[None] * N)
    report = verdict_of(tmp_path / "none", none, OLD)
    assert report.verdict == "large update"
    assert "(none) 600 -> 0" in " ".join(report.reasons)


def test_vanished_elements_are_named(tmp_path):
    with_iron = pc.match_substring(OLD["chemsys"], "Fe")
    after = pa.concat_tables([OLD.filter(pc.invert(with_iron)), NEW.slice(0, 80)])
    after = after.filter(pc.invert(pc.match_substring(after["chemsys"], "Fe")))
    found = alarms(verdict_of(tmp_path, OLD, after))
    assert found["elements"].startswith("1 of 10 elements vanished: Fe ")


def test_labels_given_to_other_rows_are_noticed(tmp_path):
    shuffled = np.random.default_rng(0).permutation(OLD[ENERGY].to_numpy())
    found = alarms(verdict_of(tmp_path, OLD, with_columns(OLD, **{ENERGY: shuffled})))
    assert "though their formula stayed" in found["moves"]


def test_rows_that_are_refused_now_are_counted(tmp_path):
    report = verdict_of(tmp_path, OLD, (pa.concat_tables([OLD, NEW.slice(0, 50)]), 40))
    assert alarms(report) == {
        "rejects": "share of refused rows 0.0 % -> 5.8 %: implausible_label 0 -> 40"
    }


def test_rows_that_cannot_be_compared_are_judged_by_their_profiles(tmp_path):
    commit(tmp_path, OLD)
    records = RecordStore(tmp_path)
    before = profile_rows("s", 0, records.scan(["s"]), {})
    commit(tmp_path, with_unit_error(OLD, -1.0))
    after = profile_rows("s", 1, records.scan(["s"]), {})
    report = judge(before, after, None, GateConfig())
    assert "mean of all labels" in alarms(report)["mean"]
    assert judge(before, before, None, GateConfig()).verdict == "unchanged"


def test_thresholds_are_settings(tmp_path):
    commit(tmp_path, OLD)
    records = RecordStore(tmp_path)
    before = profile_rows("s", 0, records.scan(["s"]), {})
    commit(tmp_path, OLD.slice(0, 420))
    after = profile_rows("s", 1, records.scan(["s"]), {})
    changes = compare_versions(records, "s", 1)
    assert judge(before, after, changes, GateConfig()).is_suspicious
    lenient = GateConfig(max_rows_lost=0.4)
    assert judge(before, after, changes, lenient).verdict == "large update"


def classes(n_ones, n=N, **facts):
    """Make classes; the first ones are 1."""
    labels = [1.0] * n_ones + [0.0] * (n - n_ones)
    return {"is_metal": labels, scheme_column("is_metal"): [SCHEME] * n, **facts}


def test_a_few_classes_that_changed_are_no_exchange():
    before, after = (with_columns(OLD, **classes(n)) for n in (300, 312))
    assert judge_tables(before, after).verdict == "small update"
    exchanged = with_columns(before, is_metal=1.0 - before["is_metal"].to_numpy())
    assert "classes exchanged" in alarms(judge_tables(before, exchanged))["slip"]


def test_classes_that_changed_at_random_do_not_move_the_mean():
    before = with_columns(OLD, **classes(510))  # 85 %
    labels = before["is_metal"].to_numpy().copy()
    labels[::20] = 1.0 - labels[::20]
    assert not judge_tables(before, with_columns(before, is_metal=labels)).is_suspicious


def test_gaps_that_changed_a_little_do_not_move_the_mean():
    gaps = OLD[GAP].to_numpy() * np.where(np.random.default_rng(0).random(N) < 0.6, 0, 1)
    before = with_columns(OLD, **{GAP: gaps})  # most are zero, and stay
    after = with_columns(OLD, **{GAP: gaps * 1.05})
    assert not judge_tables(before, after).is_suspicious


def test_unit_errors_of_hull_distances_are_named():
    distances = np.random.default_rng(0).gamma(1.0, 0.05, N) + 1e-4
    name = "energy_above_hull"
    before = with_columns(OLD, **{name: distances, scheme_column(name): [SCHEME] * N})
    for factor, unit_error in ((1000.0, "meV"), (sites(OLD), "eV instead of eV/atom")):
        after, n_rejected = plausible(with_columns(before, **{name: distances * factor}))
        found = alarms(judge_tables(before, after, (0, n_rejected)))
        assert unit_error in found["slip"]


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_one_value_for_all_new_rows_is_noticed(value):
    energies = np.full(60, value)
    same = with_columns(NEW.slice(0, 60), **{ENERGY: energies})
    found = alarms(judge_tables(OLD, pa.concat_tables([OLD, same])))
    assert f"60 of 60 new and changed labels are {value:g} eV/atom" in found["repeats"]


def test_gaps_that_all_became_zero_are_noticed():
    found = alarms(judge_tables(OLD, with_columns(OLD, **{GAP: np.zeros(N)})))
    assert "600 of 600 labels are 0 eV" in found["repeats"]


def test_more_metals_than_before_are_no_alarm():
    gaps = np.where(np.arange(100) < 85, 0.0, 1.0 + np.arange(100) / 50)
    metals = with_columns(NEW.slice(0, 100), **{GAP: gaps})
    assert not judge_tables(OLD, pa.concat_tables([OLD, metals])).is_suspicious


def test_ids_that_nearly_all_changed_are_noticed():
    names = [f"other-{name}" for name in OLD["material_id"].to_pylist()]
    found = alarms(judge_tables(OLD, with_columns(OLD, material_id=names)))
    assert "100.0 % of the ids are gone" in found["ids"]


def test_a_label_less_of_a_rare_target_is_no_alarm():
    before, after = (
        with_columns(
            OLD,
            bulk_modulus=[50.0] * n + [None] * (N - n),
            bulk_modulus_scheme=["PBE"] * n + [None] * (N - n),
        )
        for n in (4, 3)
    )
    assert judge_tables(before, after).verdict == "small update"


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_order_of_the_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    grown = pa.concat_tables([with_unit_error(OLD, -1.0, first=500), NEW.slice(0, 100)])
    shuffled = [table.take(rng.permutation(len(table))) for table in (OLD, grown)]
    assert judge_tables(*shuffled) == judge_tables(OLD, grown)


@pytest.fixture(scope="module")
def mp20():
    if not MP20.is_file():
        pytest.skip(f"{MP20} is not there")
    table = pq.read_table(MP20, columns=["material_id", ENERGY, GAP, "cif"])
    # only the formula of the CIF texts is needed
    formulas = [read_formula(text) for text in table["cif"].to_pylist()]
    n = len(table)
    return with_columns(
        None,
        source=["s"] * n,
        material_id=table["material_id"].to_pylist(),
        formula=[name for name, _ in formulas],
        chemsys=["-".join(sorted(set(parts))) for _, parts in formulas],
        n_sites=[len(parts) for _, parts in formulas],
        structure_digest=table["material_id"].to_pylist(),
        **{name: table[name].to_pylist() for name in (ENERGY, GAP)},
        **{scheme_column(name): [SCHEME] * n for name in (ENERGY, GAP)},
    )


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.01, 0.3]))
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
def test_random_growth_of_real_data_is_never_suspicious(mp20, seed, share):
    order = np.random.default_rng(seed).permutation(len(mp20))
    before = mp20.take(order[: round(len(mp20) * (1 - share))])
    report = judge_tables(before, mp20)
    assert not report.is_suspicious, report.reasons
    assert report.verdict == ("small update" if share == 0.01 else "large update")
