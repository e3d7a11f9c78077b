import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.provenance import SourceFacts
from crystalgnn_core.reporting.data_sources import DataUse
from crystalgnn_core.reporting.page import render_report, write_report
from crystalgnn_core.reporting.report import (
    MAX_TABLE_ROWS,
    ScreenCounts,
    ScreenReport,
    StageNote,
)

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

HOSTILE_SOURCE = SourceFacts(
    source=ATTACK,
    n_rows=1,
    licenses={f"{ATTACK} BY-NC": 1},
    kind=ATTACK,
    source_version=ATTACK,
    citation=ATTACK,
    address=ATTACK,
    ingested=ATTACK,
)


@pytest.fixture(scope="module")
def page(make_report):
    return render_report(make_report(n=400, n_table=60))


def bare_report(**changes: object) -> ScreenReport:
    ranking = pd.DataFrame(
        {"rank": [1], "candidate_id": ["a"], "formula": ["NaCl"], "score": [0.5]}
    )
    content: dict[str, object] = {
        "title": "t",
        "subtitle": "s",
        "created": "c",
        "counts": ScreenCounts(n_in=1, n_scored=1),
        "ranking": ranking,
        "n_ranked": 1,
        "score_description": "d",
    }
    return ScreenReport(**{**content, **changes})  # type: ignore[arg-type]


def without_packed_library(page: str) -> str:
    return re.sub(r'(id="plotly-packed">)[^<]*', r"\1", page)


def test_page_shows_the_exact_accounting(page):
    text = re.sub(r"<[^>]+>", "", page)
    assert "525 in = 400 scored + 40 rejected + 85 duplicates" in text


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(IntegrityError, match=r"10 candidates in, but 5 scored"):
        ScreenCounts(n_in=10, n_scored=5, n_rejected=4)


def test_reject_reasons_that_do_not_add_up_are_refused():
    counts = ScreenCounts(n_in=3, n_scored=1, n_rejected=2)
    with pytest.raises(IntegrityError, match="reasons count 1"):
        bare_report(counts=counts, rejects={"no_atoms": 1})


def test_synthetic_data_is_named_in_banner_title_and_captions(page):
    assert "<strong>Synthetic data:</strong>" in page
    assert re.search(r"<title>[^<]*\(synthetic data\)</title>", page)
    assert re.search(r"<h1>[^<]*\(synthetic data\)</h1>", page)
    assert re.search(
        r'<caption id="table-caption">Ranked candidates \(synthetic data\)', page
    )


def test_real_data_is_not_called_synthetic():
    assert "synthetic" not in re.sub(
        r"<style>.*?</style>", "", render_report(bare_report()), flags=re.S
    )


def test_page_names_no_address_and_forbids_every_fetch(page):
    visible = without_packed_library(page)
    assert not re.search(r"https?:|//[a-z]+\.[a-z]", visible)
    assert not re.search(r"<(?:link|iframe|object)\b|\ssrc=|@import|url\(", visible)
    assert "default-src 'none'" in visible


def test_hostile_text_is_escaped_everywhere(make_report):
    report = make_report(n=2000, n_table=20)
    ranking = report.ranking.assign(
        candidate_id=ATTACK,
        formula=ATTACK,
        flags=ATTACK,
        source=ATTACK,
        change=ATTACK,
        cif=ATTACK,
    )
    scatter = report.scatter.assign(candidate_id=ATTACK, formula=ATTACK)
    hostile = replace(
        report,
        title=ATTACK,
        subtitle=ATTACK,
        created=ATTACK,
        ranking=ranking,
        scatter=scatter,
        score_description=ATTACK,
        parity=[
            replace(data, material_ids=[ATTACK] * data.metrics.n) for data in report.parity
        ],
        funnel=[(ATTACK, 1)],
        rejects={ATTACK: 40},
        reject_examples=[(ATTACK, ATTACK, ATTACK)],
        stages=[StageNote(stage=ATTACK, seconds=1.0, note=ATTACK)],
        changes={ATTACK: 1},
        quality={ATTACK: ATTACK},
        model={ATTACK: ATTACK},
        settings={ATTACK: ATTACK},
        versions={ATTACK: ATTACK},
        label_schemes={ATTACK: ATTACK},
        not_judged=[ATTACK],
        data_facts={ATTACK: ATTACK},
        data=[DataUse(ATTACK, HOSTILE_SOURCE)],
    )
    page = render_report(hostile)
    assert page.count("<script") == 3  # plot data, packed library, page script
    assert page.count("</script>") == 3
    assert "<img" not in page


@pytest.mark.parametrize(
    "target",
    ["javascript:alert(1)", "/etc/passwd", "../../x.cif", "https://a.b/c.cif", ".."],
)
def test_file_link_that_leaves_the_folder_is_not_made(target):
    ranking = bare_report().ranking.assign(cif=target)
    assert "download>CIF" not in render_report(bare_report(ranking=ranking))


def test_file_link_is_relative_and_quoted():
    ranking = bare_report().ranking.assign(cif="cif/a b#1.cif")
    assert 'href="cif/a%20b%231.cif" download>CIF' in render_report(
        bare_report(ranking=ranking)
    )


def test_table_is_cut_and_says_so(make_report):
    report = make_report(n=1300, n_table=1300)
    page = render_report(report)
    assert page.count('<th scope="row" class="formula"') == MAX_TABLE_ROWS
    assert "the first 1,000 of 1,300; ranking.csv has all" in page


def test_columns_without_values_are_not_shown(make_report):
    ranking = make_report(n=400, n_table=20).ranking
    ranking = ranking.assign(energy_above_hull=np.nan, source=None, flags="")
    page = render_report(bare_report(ranking=ranking))
    assert "Above hull" not in page
    assert ">Source<" not in page
    assert ">Flags<" not in page
    assert ">Band gap<" in page


def test_missing_value_is_a_dash_that_sorts_as_missing(make_report):
    ranking = make_report(n=400, n_table=3).ranking
    ranking.loc[1, "band_gap"] = np.nan
    page = render_report(bare_report(ranking=ranking))
    assert (
        '<td class="number" data-value=""><span class="missing">\N{EN DASH}</span></td>'
        in page
    )
    assert ">nan<" not in page


def test_formula_amounts_are_subscripts(page):
    row = bare_report().ranking.assign(formula="Li0.5(FeO3)2")
    assert "Li<sub>0.5</sub>(FeO<sub>3</sub>)<sub>2</sub>" in render_report(
        bare_report(ranking=row)
    )


def test_sections_without_data_are_left_out():
    page = render_report(bare_report())
    for section in ("quality", "map", "model"):
        assert f'<section id="{section}"' not in page
    assert "None: every candidate could be read" in page


def test_empty_ranking_still_makes_a_page():
    report = bare_report(
        ranking=bare_report().ranking.head(0),
        counts=ScreenCounts(n_in=0, n_scored=0),
        n_ranked=0,
    )
    assert "No candidate was ranked." in render_report(report)


def test_page_is_the_same_each_time_and_below_eight_megabytes(make_report, tmp_path):
    report = make_report(n=20_000)
    write_report(tmp_path / "report.html", report)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render_report(report)
    assert (tmp_path / "report.html").stat().st_size < 8e6
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["report.html"]


def test_report_leaves_its_data_untouched(make_report):
    report = make_report(n=400, n_table=20)
    before = report.ranking.copy(), report.scatter.copy()
    render_report(report)
    pd.testing.assert_frame_equal(report.ranking, before[0])
    pd.testing.assert_frame_equal(report.scatter, before[1])


def test_importing_the_page_is_light():
    code = (
        "import sys, crystalgnn_core.reporting.page;"
        "heavy = {'torch', 'plotly', 'matplotlib', 'prefect'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_reject_example_names_the_id_once(page):
    assert "<code>syn-bad-1</code> no atoms in the CIF block" in page
