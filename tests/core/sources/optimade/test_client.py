"""What providers answer: versions, licences, pages, refusals."""

import gzip
import json
import logging
import time

import pytest

from crystalgnn_core.errors import SourceError, TransientError
from crystalgnn_core.sources.optimade.answers import next_url
from crystalgnn_core.sources.optimade.client import (
    fetch_page,
    find_database,
    structures_url,
)
from tests.core.sources.optimade.provider import KIND, QUICK, Provider, answer_json, salts
from tests.core.web import running_site, send

LOGGER = "crystalgnn_core.sources.optimade.answers"


@pytest.fixture
def site():
    with running_site() as running:
        yield running


@pytest.fixture
def provider(site):
    return Provider(site, salts(25))


def page_of(site, content, code=200, **settings):
    """Fetch a page that has this content."""
    site.answers["/page"] = answer_json(content, code)
    return fetch_page(f"{site.url}/page", "nsites=2", QUICK, **settings)


def first_page(provider, filter_="", page_limit=10):
    url = structures_url(f"{provider.base}/v1", filter_, ("id", "_x_gap"), page_limit)
    return fetch_page(url, filter_, QUICK)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/structures", "/structures/"])
def test_the_version_is_found_or_taken_from_the_address(provider, end):
    database = find_database(provider.base + end, QUICK)
    assert database.url == f"{provider.base}/v1"
    assert database.name == "Imitation"
    versions = [path for path, _ in provider.site.asked if path.endswith("/versions")]
    assert len(versions) == (0 if "v1" in end else 1)


def test_a_minor_version_in_the_address_is_kept(provider):
    provider.site.answers["/optimade/v1.1/info"] = answer_json({"data": {}})
    url = f"{provider.base}/v1.1"
    assert find_database(url, QUICK).url == url


def test_a_provider_of_other_versions_is_refused(provider):
    provider.site.serve("/optimade/versions", b"version\n2\n3\n", kind="text/csv")
    with pytest.raises(SourceError, match=r"serves versions 2, 3 of OPTIMADE, expected 1"):
        find_database(provider.base, QUICK)


def test_an_answer_of_another_version_is_refused(site):
    provider = Provider(site, [], info={"api_version": "0.10.1"})
    with pytest.raises(SourceError, match=r"speaks version 0\.10\.1"):
        find_database(provider.base, QUICK)


@pytest.mark.parametrize("databases", [5, "abc", {"id": "a"}, None])
def test_an_index_that_names_nothing_says_so(site, databases):
    provider = Provider(site, [], info={"is_index": True})
    site.answers["/optimade/v1/links"] = answer_json({"data": databases})
    with pytest.raises(SourceError, match=r"give one of none that it names$"):
        find_database(provider.base, QUICK)


def test_a_list_of_versions_that_is_something_else_does_no_harm(provider):
    provider.site.serve("/optimade/versions", b"x" * 200_000, kind="text/plain")
    assert find_database(provider.base, QUICK).url == f"{provider.base}/v1"


@pytest.mark.parametrize("versions", [b"version \n1\n", b"version,note\n1,x\n", b"1"])
def test_lists_of_versions_are_read_leniently(provider, versions):
    provider.site.serve("/optimade/versions", versions, kind="text/plain")
    assert find_database(provider.base, QUICK).url == f"{provider.base}/v1"


def test_a_provider_without_list_of_versions_or_info_still_serves(provider, caplog):
    del provider.site.answers["/optimade/versions"]
    del provider.site.answers["/optimade/v1/info"]
    assert find_database(provider.base, QUICK).url == f"{provider.base}/v1"
    assert "no answer but 404" in caplog.text


def test_a_web_page_is_no_provider(site):
    page = b"<!DOCTYPE html><html>Welcome</html>"
    for path in ("/versions", "/v1/info"):
        site.serve(path, page, kind="text/html; charset=utf-8")
    with pytest.raises(SourceError, match=r"HTML page; give the base address"):
        find_database(site.url, QUICK)


def test_an_index_names_its_databases(site):
    provider = Provider(site, [], info={"is_index": True})
    links = [
        {"attributes": {"link_type": "child", "base_url": "https://a.example/pbe"}},
        {"attributes": {"link_type": "child", "base_url": {"href": "https://b.example"}}},
        {"attributes": {"link_type": "providers", "base_url": "https://other.example"}},
        "broken",
    ]
    site.answers["/optimade/v1/links"] = answer_json({"data": links})
    with pytest.raises(SourceError, match=r"an index.*a\.example/pbe, https://b\.example$"):
        find_database(provider.base, QUICK)


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({}, None),
        ({"available_licenses": ["CC-BY-4.0"]}, "CC-BY-4.0"),
        ({"available_licenses": ["CC-BY-4.0", "ODbL-1.0"]}, "CC-BY-4.0 OR ODbL-1.0"),
        (
            {"available_licenses": [], "license": "https://x.example/l"},
            "https://x.example/l",
        ),
        ({"license": {"href": "https://x.example/l"}}, "https://x.example/l"),
        ({"available_licenses_for_entries": ["CC0-1.0"]}, "CC0-1.0"),
        ({"license": 7}, None),
    ],
)
def test_the_licence_is_read_from_what_the_provider_says(site, info, text):
    assert find_database(Provider(site, [], info=info).base, QUICK).license == text


def test_the_filter_is_encoded_and_passed_through(provider):
    filter_ = 'elements HAS ANY "Na","K" AND nsites<=2 AND _x_gap>0.5'
    first_page(provider, filter_)
    [asked] = provider.pages
    assert "filter=elements%20HAS%20ANY%20%22Na%22%2C%22K%22%20AND" in asked
    assert "response_fields=id%2C_x_gap&page_limit=10" in asked


@pytest.mark.parametrize("form", ["text", "object", "path", "relative"])
def test_next_links_have_many_forms(provider, form):
    path = "/optimade/v1/structures?page_offset=10"
    links = {
        "text": provider.site.url + path,
        "object": {"href": provider.site.url + path, "meta": {}},
        "path": path,
        "relative": "structures?page_offset=10",
    }
    provider.link = lambda _: links[form]
    assert first_page(provider).next_url == provider.site.url + path


@pytest.mark.parametrize("link", [None, "", {"href": None}, {}])
def test_no_next_link_is_the_end(site, link):
    assert page_of(site, {"data": [], "links": {"next": link}}).next_url is None
    assert page_of(site, {"data": [], "links": None}).next_url is None


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (7, "expected an address"),
        ("ftp://a.example/next", "not on the web"),
        ("https://a.example/next", r"another host, a\.example; set follow_other_hosts"),
        ("/page", "this page again"),
        ("http://a.example:port/next", "port"),
        ("http://[a/next", "IPv6"),
    ],
)
def test_links_that_lead_astray_are_refused(site, link, words):
    with pytest.raises(SourceError, match=words):
        page_of(site, {"data": [], "links": {"next": link}})


def test_another_host_is_followed_when_asked_for(site):
    content = {"data": [], "links": {"next": "https://a.example/next"}}
    page = page_of(site, content, with_other_hosts=True)
    assert page.next_url == "https://a.example/next"


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("http://a.example/2", "https://a.example/2"),
        ("http://a.example:80/2", "https://a.example/2"),
        ("https://a.example/2", "https://a.example/2"),
        ("//a.example/2", "https://a.example/2"),
    ],
)
def test_encryption_is_not_given_up(link, found):
    content = {"links": {"next": link}}
    asked = "https://a.example/1"
    assert next_url(content, asked, asked, with_other_hosts=False) == found


def test_another_port_is_another_host(site):
    with running_site() as other:
        content = {"data": [], "links": {"next": f"{other.url}/next"}}
        with pytest.raises(SourceError, match="another host"):
            page_of(site, content)


def test_a_redirection_may_lead_to_another_host(site):
    with running_site() as other:
        other.answers["/there"] = answer_json({"data": [], "links": {"next": "/more"}})
        site.answers["/page"] = lambda request: send(
            request, 302, Location=f"{other.url}/there"
        )
        page = fetch_page(f"{site.url}/page", "", QUICK)
        assert page.next_url == f"{other.url}/more"


def test_a_provider_that_refuses_its_own_page_limit_is_asked_for_few(provider):
    honest = provider.answer
    refusal = {"errors": [{"detail": "Max allowed page_limit is 15"}]}
    refuse = answer_json(refusal, 403)
    path = "/optimade/v1/structures"
    provider.site.answers[path] = lambda request: (
        honest if request.path.endswith("page_limit=10") else refuse
    )(request)
    page = first_page(provider, "nsites=2", 1000)
    assert len(page.entries) == 10
    assert len(provider.pages) == 3
    provider.site.answers[path] = refuse
    with pytest.raises(SourceError, match="Max allowed page_limit is 15"):
        first_page(provider, page_limit=1000)


def test_a_refused_page_limit_is_left_out(provider):
    honest = provider.answer

    def strict(request):
        if "page_limit" in request.path:
            refusal = {"errors": [{"detail": "Max allowed page_limit is 5"}]}
            answer_json(refusal, 403)(request)
        else:
            honest(request)

    provider.site.answers["/optimade/v1/structures"] = strict
    assert len(first_page(provider, "nsites=2").entries) == 25
    assert [("page_limit" in path) for path in provider.pages] == [True, False]
    assert "filter=nsites%3D2" in provider.pages[1]


def test_an_ignored_page_limit_does_no_harm(provider):
    provider.most = 4
    page = first_page(provider)
    assert (len(page.entries), page.n_rows, page.has_more) == (4, 25, True)


def test_a_refused_filter_is_named_with_what_the_provider_says(provider):
    refusal = {"errors": [{"title": "Bad Request", "detail": "ANY is not supported"}]}
    provider.site.answers["/optimade/v1/structures"] = answer_json(refusal, 400)
    words = r"refuses \(400\): ANY is not supported; the filter is 'nsites HAS 2'"
    with pytest.raises(SourceError, match=words):
        first_page(provider, "nsites HAS 2")


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([{"detail": "first"}, {"title": "second"}], "first; second"),
        (["400 - mere text"], "mere text"),
        ([{"status": "418"}], "418"),
        ({"detail": "no list"}, "no list"),
        ([""], "no reason given"),
    ],
)
def test_errors_inside_an_answer_are_refused(site, errors, words):
    with pytest.raises(SourceError, match=words):
        page_of(site, {"data": [], "errors": errors})


def test_long_errors_are_cut(site):
    with pytest.raises(SourceError) as caught:
        page_of(site, {"errors": ["x" * 5000]})
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("code", [401, 404, 501])
def test_refusals_of_other_kinds_are_errors_of_the_source(site, code):
    with pytest.raises(SourceError, match=rf"refuses \({code}\): gone fishing"):
        page_of(site, {"detail": "gone fishing"}, code)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{'data': []}", "no JSON"),
        (b"", "no JSON"),
        (b'{"data":' + b"[" * 200_000, "no JSON"),
        (b"[1, 2]", "no list of structures"),
        (b'{"data": {"id": "a"}}', "no list of structures"),
        (b'{"meta": {}}', "no list of structures"),
        (b"  <html><body>Moved</body></html>", "HTML page"),
    ],
)
def test_answers_of_another_form_are_refused(site, body, words):
    site.serve("/page", body, kind=KIND)
    with pytest.raises(SourceError, match=words):
        fetch_page(f"{site.url}/page", "", QUICK)


@pytest.mark.parametrize(
    "meta", [None, [], {"data_returned": "many"}, {"data_returned": True}]
)
def test_counts_that_are_none_are_left_out(site, meta):
    page = page_of(site, {"data": [1], "meta": meta})
    assert (page.n_rows, page.has_more) == (None, None)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_provider_is_asked_again(provider, code):
    busy = lambda request: send(request, code, b"<html>", Content_Type="text/html")  # noqa: E731
    provider.site.in_turn("/optimade/v1/structures", busy, provider.answer)
    assert len(first_page(provider).entries) == 10


def test_a_provider_that_fails_for_good_is_a_passing_failure(provider):
    refusal = {"errors": [{"detail": "unknown chemical symbol X"}]}
    provider.site.answers["/optimade/v1/structures"] = answer_json(refusal, 500)
    with pytest.raises(TransientError, match=r"500 .*unknown chemical symbol X.*2 tries"):
        first_page(provider)


def test_a_provider_says_how_long_to_wait_and_pauses_differ(provider, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    busy = answer_json({}, 429, Retry_After=7)
    patience = QUICK.model_copy(update={"n_tries": 5, "jitter": 0.5})
    url = provider.site.in_turn("/page", busy, busy, busy, answer_json({"data": []}))
    fetch_page(url, "", patience)
    assert len(set(pauses)) == 3
    assert all(7.0 <= pause <= 10.5 for pause in pauses)


def test_a_slow_or_cut_answer_may_pass(provider):
    patience = QUICK.model_copy(update={"read_seconds": 0.1, "n_tries": 1})
    provider.site.answers["/slow"] = lambda _: time.sleep(0.4)
    with pytest.raises(TransientError, match="ReadTimeout"):
        fetch_page(f"{provider.site.url}/slow", "", patience)
    url = provider.site.serve("/cut", b'{"data": []}' + b" " * 999, stops_at=5, kind=KIND)
    with pytest.raises(TransientError, match="RemoteProtocolError"):
        fetch_page(url, "", patience)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_answer_that_is_cut_unnoticed_may_pass(site, encoding):
    body = json.dumps({"data": list(range(1000))}).encode()
    body = (gzip.compress(body) if encoding == "gzip" else body)[:-200]
    site.answers["/page"] = lambda request: send(
        request, 200, body, announced=-1, Content_Type=KIND, Content_Encoding=encoding
    )
    with pytest.raises(TransientError, match=r"breaks off after \d+ bytes"):
        fetch_page(f"{site.url}/page", "", QUICK)


def test_compressed_answers_are_read(site):
    body = gzip.compress(json.dumps({"data": [1, 2]}).encode())
    site.answers["/page"] = lambda request: send(
        request, 200, body, Content_Type=KIND, Content_Encoding="gzip"
    )
    assert fetch_page(f"{site.url}/page", "", QUICK).entries == [1, 2]
    assert "gzip" in site.asked[0][1]["Accept-Encoding"]


def test_warnings_are_logged_once_each_and_cut(site, caplog):
    warnings = [{"detail": "field missing"}] * 3 + [{"detail": "y" * 900}, "text", 0]
    warnings += [{"title": f"w{i}"} for i in range(4)]
    with caplog.at_level(logging.WARNING, LOGGER):
        page_of(site, {"data": [], "meta": {"warnings": warnings}})
    assert "warns (3 times): field missing" in caplog.text
    assert caplog.text.count("field missing") == 1
    assert "other warnings" in caplog.text
    assert max(map(len, caplog.messages)) < 500
