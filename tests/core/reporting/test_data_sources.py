import json
import re
from pathlib import Path

import pytest

from crystalgnn_core.learning.cards import (
    BaseReference,
    facts_of,
    noncommercial_data,
    read_card,
)
from crystalgnn_core.records.provenance import SourceFacts
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.data_sources import (
    DataUse,
    data_of_screen,
    overlap_facts,
)
from crystalgnn_core.reporting.page import render_report
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.storage.files import write_text
from tests.core.records.disguises import disguise, store_crystals, textbook
from tests.core.worlds import SCREENING, in_memory, screen

NC = SourceFacts(source="mp", n_rows=7, licenses={"CC BY-NC 4.0": 7}, citation="J. 1")


def with_base(card, facts):
    base = BaseReference(
        model_id="b", weights_sha256="", label_schemes={}, targets=(), data_sources=facts
    )
    return card.model_copy(update={"base": base})


def test_training_data_base_models_and_candidates_are_listed(store, trained):
    card = with_base(trained.card, (NC,))
    uses = data_of_screen(store, ["candidates"], [card, card])
    assert [use for use, _ in uses] == ["training", "base model b", "candidates"]
    training, base, candidates = (facts for _, facts in uses)
    assert training == trained.card.data.data_sources[0]
    assert base == NC
    assert (candidates.source, candidates.n_rows) == ("candidates", 40)
    assert noncommercial_data(card) == ("mp (CC BY-NC 4.0)",)
    assert noncommercial_data(trained.card) == ()


def test_models_of_different_data_are_told_apart(store, trained):
    data = trained.card.data.model_copy(update={"data_digest": "other"})
    other = trained.card.model_copy(update={"model_id": "other", "data": data})
    uses = [use for use, _ in data_of_screen(store, ["candidates"], [trained.card, other])]
    assert uses[:2] == [f"training of {trained.model_id}", "training of other"]


def test_an_old_card_tells_sources_and_licences(store, model):
    content = json.loads((model / "card.json").read_text())
    del content["data"]["data_sources"]
    write_text(model / "card.json", json.dumps(content))
    card = read_card(model)
    assert card.data.data_sources == ()
    assert facts_of(card.data) == (
        SourceFacts(source="synthetic", n_rows=80, licenses={"CC0-1.0": 0}),
    )


def test_overlap_is_told_once_records_are_linked(store, trained):
    from crystalgnn_core.records.links.linking import link_records

    assert overlap_facts(store, ["candidates"], [trained.card]) == {}
    names = ("Si", "MgO", "GaAs")
    store_crystals(store, "mp", {name: textbook(name) for name in names})
    store_crystals(store, "cifs", {n: disguise(textbook(n), 1) for n in names[:2]})
    link_records(store)
    data = trained.card.data.model_copy(update={"sources": ("mp",)})
    card = trained.card.model_copy(update={"data": data})
    [told] = overlap_facts(store, ["cifs"], [card]).values()
    assert told == "2 by the last linking"


@pytest.fixture
def pages(make_report):
    def render(*facts):
        data = [DataUse("training", one) for one in facts]
        return render_report(make_report(n=400, n_table=20, data=data))

    return render


def test_the_page_names_sources_licences_versions_and_citations(pages):
    facts = NC.model_copy(
        update={
            "licenses": {"CC BY 4.0": 5, "CC BY-NC 4.0": 2},
            "source_version": "2026.1",
            "kind": "materials-project",
            "ingested": "2026-11-25",
        }
    )
    section = pages(facts).partition('<section id="data"')[2].partition("</section>")[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    assert "mp materials-project, read 2026-11-25 training 7" in text
    assert "CC BY 4.0 5 rows CC BY-NC 4.0 2 rows non-commercial 2026.1 J. 1" in text


def test_data_without_commercial_use_is_flagged_at_the_top_and_in_the_table(pages):
    page = pages(NC)
    assert "may not be used commercially" in page.partition("</header>")[0]
    assert "<strong>No commercial use:</strong> the licence of mp (CC BY-NC 4.0)" in page
    free = pages(NC.model_copy(update={"licenses": {"CC BY 4.0": 7}}))
    assert "commercial" not in re.sub(r"<style>.*?</style>", "", free, flags=re.DOTALL)


def test_a_ranking_with_known_values_of_two_schemes_is_not_judged(store, model):
    rows = RecordStore(store).read(["candidates"])
    place = rows.column_names.index("band_gap_scheme")
    schemes = ["MBJ", *rows["band_gap_scheme"].to_pylist()[1:]]
    mixed = rows.set_column(place, "band_gap_scheme", [schemes])
    content = mixed.column_names.index("content_digest")
    digests = [f"x{i}" for i in range(len(mixed))]
    mixed = mixed.set_column(content, "content_digest", [digests]).cast(rows.schema)
    RecordStore(store).replace_records("candidates", in_memory(mixed))
    result = screen(store, model)
    refused = report_screen(store, SCREENING, result, ())
    assert refused.quality is None
    [reason] = refused.not_judged
    assert "band_gap: labels of different schemes (MBJ, synthetic-1)" in reason
    page = Path(refused.page.path).read_text()
    assert "Not judged: band_gap: labels of different schemes" in page
    assert "Formation energy of ranked candidates" in page  # whose values are of one scheme
    assert "Band gap of ranked candidates" not in page
    asked = SCREENING.model_copy(update={"allow_mixed_schemes": True})
    again = screen(store, model, asked)
    assert again.screen_id == result.screen_id
    judged = report_screen(store, asked, again, ())
    assert judged.quality is not None
    assert judged.not_judged == ()
    assert "Band gap of ranked candidates" in Path(judged.page.path).read_text()
    assert report_screen(store, SCREENING, result, ()).quality is None
