"""Crawls from an imitated provider to the record table: whole, resumed, or refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from crystalgnn_core.errors import SourceError, TransientError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.optimade import crawl
from crystalgnn_core.sources.optimade.providers import PROVIDERS
from crystalgnn_core.sources.optimade.source import OptimadeSource
from crystalgnn_core.storage.files import write_text
from tests.core.sources.optimade.provider import GAP, Provider, answer_json, entry, salts
from tests.core.web import running_site


@pytest.fixture
def site():
    with running_site() as running:
        yield running


@pytest.fixture
def provider(site):
    return Provider(site, salts(25))


def stored(store, columns=("content_digest", "last_updated")):
    return RecordStore(store).read(["db"], list(columns)).to_pylist()


def crawl_file(store):
    return store / "sources" / "db" / "crawl.json"


def read_some(store, source, n_parts):
    """Read the first parts of a plan and stop, as a kill does; return the plan."""
    plan = plan_ingest(store, source)
    part = plan.parts[0]
    for _ in range(n_parts):
        [part] = read_part(source, part, Path(plan.folder)).following
    return plan


@pytest.mark.parametrize(
    ("page_limit", "part_size", "n_pages"),
    [(10, 2000, 3), (7, 10, 4), (25, 1, 1), (1, 3, 25)],
)
def test_all_pages_arrive(provider, tmp_path, page_limit, part_size, n_pages):
    source = provider.source(page_limit=page_limit, part_size=part_size, targets=GAP)
    report = ingest_source(tmp_path, source)
    assert (report.n_in, report.n_kept, report.n_labels) == (25, 25, {"band_gap": 25})
    assert len(provider.pages) == n_pages
    ids = RecordStore(tmp_path).read(["db"], [])["material_id"].to_pylist()
    assert sorted(ids) == sorted(found["id"] for found in provider.entries)


def test_a_row_keeps_what_the_entry_says(site, tmp_path):
    provider = Provider(site, salts(1), info={"available_licenses": ["CC-BY-4.0"]})
    plan = plan_ingest(tmp_path, provider.source(targets=GAP, license="mine"))
    assert plan.reading.n_expected == 1
    ingest_source(tmp_path, provider.source(targets=GAP, license="mine"))
    names = ("band_gap", "band_gap_scheme", "license", "source_version", "last_updated")
    [row] = stored(tmp_path, names)
    assert row["last_updated"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert [row[name] for name in names[:4]] == [0.0, "made up", "CC-BY-4.0", "a-1"]


def test_the_licence_of_the_settings_holds_where_the_provider_states_none(
    provider, tmp_path
):
    ingest_source(tmp_path, provider.source(license="mine"))
    assert {row["license"] for row in stored(tmp_path, ["license"])} == {"mine"}


def test_only_what_is_needed_is_asked_for(provider, tmp_path):
    targets = {"band_gap": TargetColumn(column="_x_gaps.pbe", label_scheme="made up")}
    provider.entries = [entry("a", _x_gaps={"pbe": 1.25})]
    ingest_source(tmp_path, provider.source(targets=targets, filter=" nsites=2\n"))
    assert [row["band_gap"] for row in stored(tmp_path, ["band_gap"])] == [1.25]
    [asked] = provider.pages
    assert "last_modified%2Cimmutable_id%2C_x_gaps&" in asked
    assert "filter=nsites%3D2&" in asked


def test_bad_entries_are_rejected_one_by_one(provider, tmp_path):
    nattached = [{"name": "Na", "chemical_symbols": ["Na"], "concentration": [1.0]}]
    provider.entries = [
        entry("good", _x_gap=1.0),
        entry(42, _x_gap=1.0, immutable_id=None),
        entry("mixed", structure_features=["disorder"]),
        entry("text", _x_gap="wide"),
        entry("infinite", _x_gap=1e999),
        entry("sentinel", _x_gap=-99999),
        entry("nested", _x_gap={"pbe": 1.0}),
        entry(None, _x_gap=1.0),
        entry("odd", species=[nattached[0] | {"nattached": 3}]),
        entry("good", _x_gap=2.0),
        "no entry",
        None,
    ]
    report = ingest_source(tmp_path, provider.source(targets=GAP, missing=(-99999.0,)))
    assert (report.n_in, report.n_kept) == (12, 2)
    assert report.rejected == {
        "disordered_site": 1,
        "duplicate_id": 1,
        "invalid_label": 3,
        "missing_id": 1,
        "missing_label": 1,
        "unreadable_structure": 3,
    }
    messages = RecordStore(tmp_path).rejects()["message"].to_pylist()
    assert "text: _x_gap: label 'wide' is not a number" in " ".join(messages)
    assert "odd: not an OPTIMADE structure (TypeError" in " ".join(messages)
    versions = {row["source_version"] for row in stored(tmp_path, ["source_version"])}
    assert versions == {"a-1", f"{datetime.now(UTC):%Y-%m-%d}"}


def test_a_reject_remembers_when_the_entry_changed(provider, tmp_path):
    provider.entries = [entry("good"), entry("bad", nsites=3)]
    ingest_source(tmp_path, provider.source())
    [reject] = RecordStore(tmp_path).rejects().to_pylist()
    assert reject["last_updated"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_a_finished_crawl_is_done_anew_and_equal_rows_stay(provider, tmp_path):
    source = provider.source(targets=GAP)
    first = ingest_source(tmp_path, source)
    before = stored(tmp_path)
    second = ingest_source(tmp_path, source)
    assert second.was_read
    assert second.counts.version == first.counts.version
    assert second.counts.n_unchanged == 25
    assert stored(tmp_path) == before
    provider.entries = [
        *provider.entries[1:24],
        *salts(2, start=30),
        entry("s-24", _x_gap=9),
    ]
    third = ingest_source(tmp_path, source)
    assert (third.counts.n_new, third.counts.n_changed) == (2, 1)
    assert (third.counts.n_removed, third.counts.n_unchanged) == (1, 23)


def test_a_killed_crawl_goes_on_at_the_page_where_it_stopped(provider, tmp_path):
    source = provider.source(page_limit=5, part_size=5)
    read_some(tmp_path, source, 3)
    assert len(provider.pages) == 3
    report = ingest_source(tmp_path, source)
    assert (report.n_in, report.n_kept) == (25, 25)
    assert len(provider.pages) == 5
    ingest_source(tmp_path / "undisturbed", source)
    assert stored(tmp_path) == stored(tmp_path / "undisturbed")


def test_a_failing_page_is_read_again_alone(provider, tmp_path):
    source = provider.source(page_limit=5, part_size=5)
    plan = read_some(tmp_path, source, 2)
    path = "/optimade/v1/structures"
    provider.site.answers[path] = answer_json({}, 503)
    with pytest.raises(TransientError, match="503"):
        ingest_source(tmp_path, source)
    provider.site.answers[path] = provider.answer
    provider.site.asked.clear()
    assert plan_ingest(tmp_path, source).digest == plan.digest
    assert ingest_source(tmp_path, source).n_in == 25
    assert len(provider.pages) == 3


@pytest.mark.parametrize("change", ["age", "filter", "page_limit", "damage"])
def test_an_old_or_different_crawl_is_not_gone_on_with(provider, tmp_path, change):
    source = provider.source(page_limit=5, part_size=5)
    plan = read_some(tmp_path, source, 2)
    file = crawl_file(tmp_path)
    if change == "age":
        crawl = json.loads(file.read_text())
        crawl["started"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
        write_text(file, json.dumps(crawl))
    elif change == "damage":
        file.write_text("{")
    else:
        update = {"filter": "nsites=2"} if change == "filter" else {"page_limit": 6}
        source = source.model_copy(update=update)
    again = plan_ingest(tmp_path, source)
    assert again.digest != plan.digest
    assert ingest_source(tmp_path, source).n_in == 25


def test_times_and_tries_do_not_begin_a_crawl_anew(provider, tmp_path):
    source = provider.source()
    plan = plan_ingest(tmp_path, source)
    patient = source.model_copy(
        update={"patience": source.patience.model_copy(update={"n_tries": 9})}
    )
    assert plan_ingest(tmp_path, patient).digest == plan.digest


def test_another_part_size_reads_the_same_crawl_in_other_parts(provider, tmp_path):
    source = provider.source(page_limit=5, part_size=5)
    plan = read_some(tmp_path, source, 2)
    other = source.model_copy(update={"part_size": 10})
    assert plan_ingest(tmp_path, other).digest != plan.digest
    assert ingest_source(tmp_path, other).n_in == 25


def endless(provider):
    """Break the chain of pages after the second one, and serve no more."""
    honest = provider.entries
    provider.meta = {"data_returned": len(honest), "more_data_available": None}
    provider.entries = honest[:20]


def test_a_crawl_that_ends_early_removes_nothing_and_begins_anew(provider, tmp_path):
    source = provider.source()
    ingest_source(tmp_path, source)
    before, honest = stored(tmp_path), provider.entries
    endless(provider)
    with pytest.raises(TransientError, match=r"after 20 of 25 rows.*starts again"):
        ingest_source(tmp_path, source)
    assert stored(tmp_path) == before
    assert not crawl_file(tmp_path).exists()
    provider.entries, provider.meta = honest, {}
    assert ingest_source(tmp_path, source).counts.n_unchanged == 25


def test_rows_that_vanish_while_they_are_read_are_noticed(provider, tmp_path):
    source = provider.source(page_limit=5, part_size=5)
    read_some(tmp_path, source, 2)
    del provider.entries[3]  # the pages that follow are shifted: one row is never seen
    with pytest.raises(TransientError, match="24 of 25 rows"):
        ingest_source(tmp_path, source)


def test_more_data_without_a_next_page_is_refused(provider, tmp_path):
    provider.meta = {"data_returned": None, "more_data_available": True}
    with pytest.raises(SourceError, match="no next page follows"):
        ingest_source(tmp_path, provider.source())
    assert not crawl_file(tmp_path).exists()


def test_a_provider_that_counts_only_the_page_is_believed_no_less(provider, tmp_path):
    provider.meta = {"data_returned": 10}
    assert ingest_source(tmp_path, provider.source()).n_in == 25


def test_without_any_count_the_doubt_is_logged(provider, tmp_path, caplog):
    provider.meta = {"data_returned": None, "more_data_available": None}
    assert ingest_source(tmp_path, provider.source()).n_in == 25
    assert "does not say how many rows there are; 25 arrived" in caplog.text


def test_an_empty_page_is_the_end(provider, tmp_path):
    path = "/optimade/v1/structures"
    more = {"next": f"{provider.base}/v1/structures?page_offset=99"}
    empty = answer_json({"data": [], "links": more, "meta": {"data_returned": 25}})
    provider.site.in_turn(path, provider.answer, provider.answer, empty)
    with pytest.raises(TransientError, match="10 of 25"):
        ingest_source(tmp_path, provider.source())
    empty = answer_json({"data": [], "links": more, "meta": {}})
    provider.meta = {"data_returned": None, "more_data_available": None}
    provider.site.in_turn(path, provider.answer, provider.answer, empty)
    assert ingest_source(tmp_path, provider.source()).n_in == 10


def test_nothing_that_fits_removes_nothing(provider, tmp_path):
    source = provider.source()
    ingest_source(tmp_path, source)
    provider.entries = []
    with pytest.raises(SourceError, match="no structure fits the filter"):
        ingest_source(tmp_path, source)
    assert len(stored(tmp_path)) == 25


@pytest.mark.parametrize("part_size", [3, 2000])
@pytest.mark.parametrize("loop", [2, 3, 5])
def test_pages_in_a_circle_are_noticed(provider, tmp_path, loop, part_size):
    provider.most, page = 1, iter(range(1, 1000))
    provider.link = lambda _: f"{provider.base}/v1/structures?page={next(page) % loop}"
    with pytest.raises(SourceError, match=r"in a circle|this page again"):
        ingest_source(tmp_path, provider.source(part_size=part_size))
    assert len(provider.pages) < 6 * loop
    assert not crawl_file(tmp_path).exists()


def serve_for_ever(provider, rows_of):
    """Serve pages whose links never end and never repeat."""

    def answer(request):
        number = int(parse_qs(urlsplit(request.path).query).get("number", ["0"])[0])
        more = f"{provider.base}/v1/structures?number={number + 1}"
        content = {"data": rows_of(number), "links": {"next": more}, "meta": provider.meta}
        answer_json(content)(request)

    provider.site.answers["/optimade/v1/structures"] = answer


@pytest.mark.parametrize("part_size", [3, 2000])
@pytest.mark.parametrize("n_pages", [1, 2, 5])
def test_pages_that_repeat_under_new_addresses_are_noticed(
    provider, tmp_path, n_pages, part_size
):
    serve_for_ever(provider, lambda number: salts(3, start=3 * (number % n_pages)))
    with pytest.raises(SourceError, match="the pages repeat"):
        ingest_source(tmp_path, provider.source(part_size=part_size))
    assert len(provider.pages) <= 6 * n_pages
    assert not crawl_file(tmp_path).exists()


@pytest.mark.parametrize("part_size", [3, 2000])
@pytest.mark.parametrize("count", ["data_returned", "data_available"])
def test_new_rows_without_end_are_bounded_by_what_is_announced(
    provider, tmp_path, count, part_size
):
    provider.meta = {"data_returned": 3, count: 15}
    serve_for_ever(provider, lambda number: salts(3, start=3 * number))
    with pytest.raises(SourceError, match="33 rows came and more follow, but 15 are"):
        ingest_source(tmp_path, provider.source(part_size=part_size))
    assert len(provider.pages) == 11


def ever_more(number):
    """Announce one row more than came so far."""
    return {"data_returned": number + 2}


@pytest.mark.parametrize(
    ("rows_of", "meta_of"),
    [
        (lambda number: [entry(f"n-{number}")], lambda _: {}),
        (lambda number: [entry(f"n-{number}")], lambda _: {"data_returned": 1}),
        (lambda number: [entry(f"n-{number}")], ever_more),
        (lambda _: [entry("same")], lambda _: {"data_returned": "many"}),
        (lambda _: [entry("same")], lambda _: {"data_returned": -1}),
        (lambda _: [None], lambda _: {"more_data_available": True}),
    ],
)
def test_pages_without_end_and_count_are_followed_to_a_bound(
    provider, tmp_path, monkeypatch, rows_of, meta_of
):
    """A server whose every page names a new next page was asked 22,325 times."""
    monkeypatch.setattr(crawl, "MOST_PAGES", 20)

    def rows(number):
        provider.meta = meta_of(number)
        return rows_of(number)

    serve_for_ever(provider, rows)
    with pytest.raises(SourceError, match="20 pages came and more follow, but the first"):
        ingest_source(tmp_path, provider.source(part_size=7))
    assert len(provider.pages) == 20
    assert not crawl_file(tmp_path).exists()


def test_many_pages_are_followed_as_far_as_the_first_one_announces(
    provider, tmp_path, monkeypatch
):
    monkeypatch.setattr(crawl, "MOST_PAGES", 2)
    report = ingest_source(tmp_path, provider.source(page_limit=1))
    assert report.n_kept == len(provider.entries)


def test_a_page_of_one_row_that_comes_twice_is_a_duplicate(provider, tmp_path):
    source = provider.source(page_limit=1, part_size=1)
    read_some(tmp_path, source, 2)
    provider.entries.insert(0, entry("s-new"))
    report = ingest_source(tmp_path, source)
    assert (report.n_in, report.n_kept) == (26, 25)
    assert report.rejected == {"duplicate_id": 1}


def test_a_refused_page_begins_the_crawl_anew(provider, tmp_path):
    source = provider.source(page_limit=5, part_size=5)
    read_some(tmp_path, source, 2)
    path, expired = "/optimade/v1/structures", {"errors": [{"detail": "cursor expired"}]}
    provider.site.answers[path] = answer_json(expired, 400)
    with pytest.raises(SourceError, match="cursor expired"):
        ingest_source(tmp_path, source)
    provider.site.answers[path] = provider.answer
    provider.site.asked.clear()
    assert ingest_source(tmp_path, source).n_in == 25
    assert len(provider.pages) == 5


def test_a_wrong_filter_is_refused_before_anything_is_read(provider, tmp_path):
    refusal = {"errors": [{"detail": "unexpected token"}]}
    provider.site.answers["/optimade/v1/structures"] = answer_json(refusal, 400)
    with pytest.raises(SourceError, match=r"unexpected token; the filter is 'nsites IS'"):
        plan_ingest(tmp_path, provider.source(filter="nsites IS"))
    assert not crawl_file(tmp_path).exists()


def test_a_next_page_on_another_host_is_refused_unless_asked_for(provider, tmp_path):
    with running_site() as other:
        rest = answer_json({"data": provider.entries[10:], "links": {}, "meta": {}})
        other.answers["/rest"] = rest
        provider.link = lambda _: f"{other.url}/rest"
        with pytest.raises(SourceError, match="set follow_other_hosts"):
            ingest_source(tmp_path, provider.source())
        source = provider.source(follow_other_hosts=True)
        assert ingest_source(tmp_path, source).n_in == 25


@pytest.mark.parametrize("name", PROVIDERS)
def test_shipped_providers_are_complete_and_give_way_to_settings(name):
    source = OptimadeSource.model_validate({"provider": name})
    shipped = PROVIDERS[name]
    assert (source.name, source.url) == (name, shipped.url)
    assert source.target_names() == tuple(shipped.targets)
    assert source.citation
    assert shipped.checked
    mine = OptimadeSource(
        provider=name, name="mine", targets={}, license="L", url="http://x"
    )
    assert (mine.name, mine.url, mine.license) == ("mine", "http://x", "L")
    assert mine.targets == {}
    assert OptimadeSource.model_validate(source.model_dump()) == source


def test_a_provider_by_address_is_named_by_its_host():
    source = OptimadeSource.model_validate({"url": "https://optimade.example.org/pbe/v1"})
    assert source.name == "optimade.example.org"
    assert source.targets == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"provider": "nobody"}, "unknown provider 'nobody'; shipped are alexandria-pbe"),
        ({}, "url"),
        ({"url": "optimade.example.org"}, "is no address"),
        ({"url": "file:///etc"}, "is no address"),
        ({"url": "https://x.org/v1/structures?filter=a"}, "holds a query"),
        ({"url": "https://x.org", "page_limit": 0}, "page_limit"),
        ({"url": "https://x.org", "targets": {"gap": {}}}, "unknown target 'gap'"),
        (
            {
                "url": "https://x.org",
                "targets": {
                    "band_gap": {"column": "_x", "label_scheme": "y", "at_most": 0.0}
                },
            },
            "is no class",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        OptimadeSource(name="db", **settings)
