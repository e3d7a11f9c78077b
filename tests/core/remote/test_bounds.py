"""What hosts may send: bounded bytes and time, names that lead nowhere, and proxies."""

import gzip
import json
import time
import zlib

import pytest

from crystalgnn_core.errors import DownloadError, TransientError
from crystalgnn_core.remote import http, partial
from crystalgnn_core.remote.downloads import (
    RemoteFile,
    RetryPolicy,
    fetch,
    fetch_answer,
    fetch_json,
)
from crystalgnn_core.remote.figshare import article_files
from tests.core.web import running_site, send

QUICK = RetryPolicy(connect_seconds=2, read_seconds=10, n_tries=2, first_pause=0.01)


@pytest.fixture
def site():
    with running_site() as running:
        yield running


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_an_answer_is_read_up_to_a_bound_however_it_is_packed(
    site, monkeypatch, encoding, pack
):
    monkeypatch.setattr(http, "MOST_BYTES", 2**22)
    body = pack(b"[" + b"0," * 2**23 + b"0]")
    site.answers["/bomb"] = lambda request: send(
        request, 200, body, Content_Encoding=encoding
    )
    with pytest.raises(DownloadError, match="more than 4,194,304 bytes"):
        fetch_answer(f"{site.url}/bomb", QUICK)


def drip(request, seconds=0.01, n=2000):
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(n))
    request.end_headers()
    for _ in range(n):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(seconds)


@pytest.mark.parametrize("ask", [fetch_answer, fetch_json])
def test_an_answer_in_drops_is_given_up(site, ask):
    site.answers["/drops"] = drip
    policy = QUICK.model_copy(update={"read_seconds": 0.05})
    with pytest.raises(TransientError, match=r"bytes came in \d+ s, too slowly to end"):
        ask(f"{site.url}/drops", policy)


def test_a_download_in_drops_is_given_up(site, tmp_path):
    site.answers["/drops"] = drip
    policy = QUICK.model_copy(update={"read_seconds": 0.05})
    with pytest.raises(TransientError, match="too slowly to end"):
        fetch(RemoteFile(url=f"{site.url}/drops", name="x"), tmp_path, policy)


def endless(request):
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    try:
        while True:
            request.wfile.write(bytes(2**16))
    except OSError:
        request.close_connection = True


@pytest.mark.parametrize("known", [{"n_bytes": 1000}, {}])
def test_a_file_without_end_is_not_written_without_end(site, tmp_path, monkeypatch, known):
    monkeypatch.setattr(partial, "MOST_OF_FILE", 2**21)
    site.answers["/endless"] = endless
    file = RemoteFile(url=f"{site.url}/endless", name="x", **known)
    with pytest.raises(DownloadError, match=r"more than [\d,]+ bytes came; stopped"):
        fetch(file, tmp_path, QUICK)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2**12


def listed(number, **changes):
    return {
        "id": number,
        "name": "x.zip",
        "size": 3,
        "download_url": "https://example.org/x",
        "supplied_md5": "",
        "computed_md5": "",
    } | changes


def test_a_list_of_files_without_end_is_left(site):
    asked = iter(range(10**9))
    site.answers["/articles/17/files"] = lambda request: send(
        request, 200, json.dumps([listed(next(asked)) for _ in range(100)]).encode()
    )
    with pytest.raises(DownloadError, match="the list of files goes on"):
        article_files(17, api=site.url, policy=QUICK)
    assert len({path for path, _ in site.asked}) == 100


def test_a_full_page_may_be_the_last(site):
    pages = iter([[listed(number) for number in range(100)], []])
    site.answers["/articles/17/files"] = lambda request: send(
        request, 200, json.dumps(next(pages)).encode()
    )
    assert len(article_files(17, api=site.url, policy=QUICK)) == 100


@pytest.mark.parametrize(
    ("name", "own"),
    [("../../x.zip", "x.zip"), ("/etc/passwd", "passwd"), ("a\\b", "b"), ("..", "7")],
)
def test_names_of_a_host_lead_to_no_other_folder(site, name, own):
    entries = json.dumps([listed(7, name=name)]).encode()
    site.answers["/articles/17/files"] = lambda request: send(request, 200, entries)
    assert article_files(17, api=site.url, policy=QUICK)[7].name == own
    with pytest.raises(ValueError, match="name"):
        RemoteFile(url="https://example.org", name=name)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"9" * 5000, b'{"a": 1e999', b"\xff\xfe", b""]
)
def test_json_that_harms_a_reader_is_refused(site, body):
    site.answers["/x"] = lambda request: send(request, 200, body)
    with pytest.raises(DownloadError, match="the answer is no JSON"):
        fetch_json(f"{site.url}/x", QUICK)


def test_downloads_obey_the_proxies(site, monkeypatch):
    for name in ("http_proxy", "all_proxy", "no_proxy", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", site.url)
    site.answers["http://data.example/x.json"] = lambda request: send(request, 200, b"[1]")
    assert fetch_json("http://data.example/x.json", QUICK) == [1]
    assert site.asked[0][0] == "http://data.example/x.json"


def test_a_proxy_that_cannot_be_used_is_one_line_without_its_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://someone:secret@proxy:1080")
    with pytest.raises(DownloadError, match=r"HTTPS_PROXY.*httpx\[socks\]") as caught:
        fetch_json("https://data.example/x.json", QUICK)
    assert "secret" not in str(caught.value)
