"""Downloads from a real server: whole and as expected, or refused with a reason."""

import hashlib
import json
import socket
import threading
import time

import pytest

from crystalgnn_core.errors import DownloadError, IntegrityError, TransientError
from crystalgnn_core.remote.downloads import (
    RemoteFile,
    RetryPolicy,
    fetch,
    fetch_json,
    is_cached,
)
from crystalgnn_core.remote.figshare import article_file, article_files
from crystalgnn_core.storage.locks import locked
from tests.core.web import file_answer, running_site, send

CONTENT = bytes(range(256)) * 900  # several pieces of a transfer
QUICK = RetryPolicy(connect_seconds=2, read_seconds=2, n_tries=3, first_pause=0.01)


@pytest.fixture
def site():
    with running_site() as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "downloads"


def remote(url, content=CONTENT, **known):
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(content).hexdigest()
    stated = {"n_bytes": len(content), "md5": md5, "sha256": sha256}
    return RemoteFile(url=url, name="file.zip", **(stated | known))


def unchecked(url):
    return RemoteFile(url=url, name="file.zip")


def left_over(folder):
    """Name the files that a failed download leaves, locks aside."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def ranges_asked(site):
    return [headers.get("Range") for _, headers in site.asked]


def test_a_good_file_arrives_once_and_is_recorded(site, folder):
    file = remote(site.serve("/file", CONTENT))
    assert not is_cached(file, folder)
    path = fetch(file, folder, QUICK)
    assert path == folder / "file.zip"
    assert path.read_bytes() == CONTENT
    record = json.loads((folder / "file.zip.origin.json").read_text())
    assert record["sha256"] == file.sha256
    assert left_over(folder) == ["file.zip", "file.zip.origin.json"]
    fetch(file, folder, QUICK)
    assert len(site.asked) == 1
    assert is_cached(file, folder)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"md5": "0" * 32}, "MD5 .*not 0000"),
        ({"sha256": "0" * 64}, "SHA-256 .*not 0000"),
        ({"n_bytes": 7}, "bytes 230400, not 7"),
    ],
)
def test_a_wrong_file_is_thrown_away(site, folder, known, words):
    with pytest.raises(DownloadError, match=f"not the expected file: {words}.*thrown away"):
        fetch(remote(site.serve("/file", CONTENT), **known), folder, QUICK)
    assert left_over(folder) == []
    assert len(site.asked) == 1  # a second try would bring the same


def test_a_cut_is_mended_by_the_rest(site, folder):
    url = site.in_turn(
        "/file", file_answer(CONTENT, stops_at=100_000), file_answer(CONTENT)
    )
    assert fetch(remote(url), folder, QUICK).read_bytes() == CONTENT
    first, second = site.asked
    assert "Range" not in first[1]
    start = int(second[1]["Range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 100_000
    assert second[1]["If-Range"] == '"1"'


def test_a_download_goes_on_where_another_process_was_stopped(site, folder):
    url = site.serve("/file", CONTENT, stops_at=50_000)
    with pytest.raises(TransientError, match=r"RemoteProtocolError.*1 tries"):
        fetch(remote(url), folder, QUICK.model_copy(update={"n_tries": 1}))
    assert left_over(folder) == ["file.zip.part", "file.zip.part.json"]
    site.serve("/file", CONTENT)
    assert fetch(remote(url), folder, QUICK).read_bytes() == CONTENT
    assert ranges_asked(site)[1] is not None
    assert left_over(folder) == ["file.zip", "file.zip.origin.json"]


def test_a_file_that_always_breaks_off_is_given_up(site, folder):
    url = site.serve("/file", CONTENT, stops_at=0)
    with pytest.raises(TransientError, match=r"3 tries.*try again later"):
        fetch(remote(url), folder, QUICK)
    assert len(site.asked) == 3
    assert not (folder / "file.zip").exists()


def test_a_file_that_is_always_short_leaves_nothing_behind(site, folder):
    short = CONTENT[:1000]
    with pytest.raises(TransientError, match=r"1000 of 230400 bytes arrived \(3 tries\)"):
        fetch(remote(site.serve("/file", short)), folder, QUICK)
    assert left_over(folder) == []


def test_a_short_file_without_a_length_is_seen_by_its_stated_size(site, folder):
    def short(request):
        send(request, 200, CONTENT[:1000], announced=-1, Connection="close")

    url = site.in_turn("/file", short, file_answer(CONTENT))
    assert fetch(remote(url), folder, QUICK).read_bytes() == CONTENT
    assert ranges_asked(site) == [None, None]


def test_a_server_that_ignores_ranges_sends_all_again(site, folder):
    cut = file_answer(CONTENT, stops_at=70_000, ranges=False)
    url = site.in_turn("/file", cut, file_answer(CONTENT, ranges=False))
    assert fetch(remote(url), folder, QUICK).read_bytes() == CONTENT
    assert ranges_asked(site)[1] is not None


@pytest.mark.parametrize("etag", ['"2"', ""])
def test_a_file_that_changed_between_the_halves_begins_anew(site, folder, etag):
    changed = CONTENT[::-1] + b"longer"
    now = file_answer(changed, etag=etag)  # heeds Range, but not If-Range
    url = site.in_turn("/file", file_answer(CONTENT, stops_at=70_000), now)
    assert fetch(unchecked(url), folder, QUICK).read_bytes() == changed
    first, second, third = ranges_asked(site)
    assert (first, third) == (None, None)
    assert second is not None


def test_a_range_at_another_place_is_not_taken(site, folder):
    url = site.in_turn(
        "/file",
        file_answer(CONTENT, stops_at=70_000),
        file_answer(CONTENT, shift=256),
        file_answer(CONTENT),
    )
    assert fetch(unchecked(url), folder, QUICK).read_bytes() == CONTENT


def test_a_part_past_the_end_begins_anew(site, folder):
    url = site.in_turn(
        "/file",
        file_answer(CONTENT, stops_at=70_000),
        lambda request: send(request, 416),
        file_answer(CONTENT),
    )
    assert fetch(unchecked(url), folder, QUICK).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>Please log in</html>", "text/html; charset=utf-8"),
        (b"\n <!DOCTYPE HTML><html>Moved</html>", "application/octet-stream"),
    ],
)
def test_a_page_in_place_of_the_file_is_refused(site, folder, body, kind):
    with pytest.raises(DownloadError, match="HTML page"):
        fetch(unchecked(site.serve("/file", body, kind=kind)), folder, QUICK)
    assert left_over(folder) == []
    assert len(site.asked) == 1
    site.serve("/file", CONTENT)  # nothing of the page is continued
    assert fetch(remote(site.url + "/file"), folder, QUICK).read_bytes() == CONTENT


def test_a_missing_file_is_one_clear_error(site, folder):
    with pytest.raises(DownloadError, match=r"/nothing: the host answers 404 Not Found"):
        fetch(unchecked(f"{site.url}/nothing"), folder, QUICK)
    assert len(site.asked) == 1
    assert left_over(folder) == []


def test_a_failing_server_is_asked_again(site, folder):
    failure = lambda request: send(request, 500)  # noqa: E731
    url = site.in_turn("/file", failure, failure, file_answer(CONTENT))
    assert fetch(remote(url), folder, QUICK).read_bytes() == CONTENT
    site.in_turn("/other", failure)
    with pytest.raises(TransientError, match=r"500 Internal Server Error .3 tries"):
        fetch(unchecked(f"{site.url}/other"), folder / "other", QUICK)


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        ("2", 2.0),
        ("600", 5.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.01),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0.01),
        ("soon", 0.01),
        ("²", 0.01),
    ],
)
def test_a_busy_server_says_how_long_to_wait(site, folder, monkeypatch, wait, seconds):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    busy = lambda request: send(request, 429, Retry_After=wait)  # noqa: E731
    url = site.in_turn("/file", busy, file_answer(CONTENT))
    policy = QUICK.model_copy(update={"longest_pause": 5.0})
    assert fetch(remote(url), folder, policy).read_bytes() == CONTENT
    assert pauses == [seconds]


def test_every_further_try_is_announced_with_reason_and_pause(site, folder, caplog):
    failure = lambda request: send(request, 500)  # noqa: E731
    url = site.in_turn("/file", failure, failure, file_answer(CONTENT))
    fetch(remote(url), folder, QUICK)
    lines = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    said = f"{url}: the host answers 500 Internal Server Error"
    assert lines == [f"{said}; try {n} of 3 in 0.0 s" for n in (2, 3)]


def test_pauses_grow(folder, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/file"
        with pytest.raises(TransientError, match=r"ConnectError.*4 tries"):
            fetch(unchecked(url), folder, RetryPolicy(first_pause=1.0, longest_pause=3.0))
    assert pauses == [1.0, 2.0, 3.0]


def test_a_silent_server_is_not_waited_for(site, folder):
    site.answers["/file"] = lambda _: time.sleep(0.5)
    policy = QUICK.model_copy(update={"read_seconds": 0.05, "n_tries": 2})
    with pytest.raises(TransientError, match="ReadTimeout"):
        fetch(unchecked(f"{site.url}/file"), folder, policy)


def test_own_digest_is_recorded_and_compared_later(site, folder):
    url = site.serve("/file", CONTENT)
    path = fetch(unchecked(url), folder, QUICK)
    path.write_bytes(b"tampered")
    with pytest.raises(
        DownloadError, match=r"not the file that was used before.*remove it"
    ):
        fetch(unchecked(url), folder, QUICK)
    path.unlink()
    site.serve("/file", b"replaced at the host")
    with pytest.raises(DownloadError, match=r"used before.*thrown away.*delete .*origin"):
        fetch(unchecked(url), folder, QUICK)
    assert not path.exists()
    (folder / "file.zip.origin.json").unlink()
    assert fetch(unchecked(url), folder, QUICK).read_bytes() == b"replaced at the host"


def test_a_damaged_record_is_an_error(site, folder):
    url = site.serve("/file", CONTENT)
    fetch(unchecked(url), folder, QUICK)
    (folder / "file.zip.origin.json").write_text("[]")
    with pytest.raises(IntegrityError, match="holds no SHA-256; delete it"):
        fetch(unchecked(url), folder, QUICK)


def test_a_file_placed_by_hand_is_checked_and_used(site, folder):
    folder.mkdir()
    (folder / "file.zip").write_bytes(CONTENT)
    file = remote(f"{site.url}/file")
    assert fetch(file, folder, QUICK).read_bytes() == CONTENT
    (folder / "file.zip").write_bytes(b"another")
    with pytest.raises(DownloadError, match=r"bytes 7, not 230400; remove it"):
        fetch(file, folder, QUICK)
    assert (folder / "file.zip").read_bytes() == b"another"
    assert site.asked == []


def test_two_that_fetch_at_once_share_one_download(site, folder):
    file = remote(site.serve("/file", CONTENT))
    found: list[bytes] = []

    def work():
        found.append(fetch(file, folder, QUICK).read_bytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
    assert len(site.asked) == 1


def test_a_file_that_another_process_fetches_is_waited_for(site, folder):
    file = remote(site.serve("/file", CONTENT))
    policy = QUICK.model_copy(update={"lock_seconds": 0.05})
    with (
        locked(folder / ".file.zip.lock", timeout=1),
        pytest.raises(TransientError, match="held by another process"),
    ):
        fetch(file, folder, policy)


def test_redirections_are_followed(site, folder):
    site.serve("/file", CONTENT)
    url = site.in_turn("/old", lambda request: send(request, 302, Location="/file"))
    assert fetch(remote(url), folder, QUICK).read_bytes() == CONTENT


def test_other_encodings_and_protocols_are_refused(site, folder):
    def packed(request):
        send(request, 200, b"x", Content_Encoding="gzip")

    with pytest.raises(DownloadError, match="another encoding"):
        fetch(unchecked(site.in_turn("/file", packed)), folder, QUICK)
    with pytest.raises(DownloadError, match="protocol"):
        fetch(unchecked("ftp://127.0.0.1/file"), folder, QUICK)


def entry(number, **changes):
    return {
        "id": number,
        "name": f"{number}.zip",
        "size": 3,
        "is_link_only": False,
        "download_url": f"https://example.org/{number}",
        "supplied_md5": "s" * 32,
        "computed_md5": "c" * 32,
    } | changes


def test_figshare_states_size_and_md5(site):
    first = [entry(number) for number in range(100)]
    second = [entry(100, computed_md5="")]
    pages = [json.dumps(page).encode() for page in (first, second)]

    def answer(request):
        page = 2 if "page=2&" in request.path else 1
        send(request, 200, pages[page - 1], Content_Type="application/json")

    site.answers["/articles/17/files"] = answer
    files = article_files(17, api=site.url, policy=QUICK)
    assert len(files) == 101
    assert files[5].model_dump() == {
        "url": "https://example.org/5",
        "name": "5.zip",
        "n_bytes": 3,
        "md5": "c" * 32,
        "sha256": "",
    }
    assert article_file(17, 100, api=site.url, policy=QUICK).md5 == "s" * 32


def test_a_file_of_an_earlier_version_is_found(site):
    def list_of(entries):
        return lambda request: send(request, 200, json.dumps(entries).encode())

    place = "/articles/17"
    site.answers[f"{place}/files"] = list_of([entry(3)])
    site.answers[f"{place}/versions"] = list_of([{"version": v} for v in (1, 3, 2)])
    site.answers[f"{place}/versions/2/files"] = list_of([entry(2)])
    site.answers[f"{place}/versions/1/files"] = list_of([entry(1), entry(2, size=9)])
    assert article_file(17, 3, api=site.url, policy=QUICK).name == "3.zip"
    assert len(site.asked) == 1
    assert article_file(17, 1, api=site.url, policy=QUICK).name == "1.zip"
    assert article_file(17, 2, api=site.url, policy=QUICK).n_bytes == 3
    with pytest.raises(DownloadError, match=r"no file 7 in its 3 versions; .*1 others"):
        article_file(17, 7, api=site.url, policy=QUICK)
    site.answers[f"{place}/versions"] = list_of([{"number": 1}])
    with pytest.raises(DownloadError, match="not a list of versions"):
        article_file(17, 7, api=site.url, policy=QUICK)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "no"}', "not a list of files"),
        (b'[{"id": 1}]', "not a list of files.*name"),
        (b"nonsense", "no JSON"),
    ],
)
def test_other_answers_of_figshare_are_refused(site, body, words):
    site.answers["/articles/17/files"] = lambda request: send(request, 200, body)
    with pytest.raises(DownloadError, match=words):
        article_files(17, api=site.url, policy=QUICK)
    with pytest.raises(DownloadError, match="404"):
        article_files(18, api=site.url, policy=QUICK)


def test_a_service_without_pages_is_asked_twice_at_most(site):
    body = json.dumps([entry(number) for number in range(120)]).encode()
    site.answers["/articles/17/files"] = lambda request: send(request, 200, body)
    assert len(article_files(17, api=site.url, policy=QUICK)) == 120
    assert len(site.asked) == 2


def test_json_is_asked_for_again_after_a_failure(site):
    url = site.in_turn(
        "/api",
        lambda request: send(request, 503),
        lambda request: send(request, 200, b'{"a": 1}'),
    )
    assert fetch_json(url, QUICK) == {"a": 1}


def test_pauses_are_lengthened_by_chance_within_bounds(site, folder, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    url = site.url + "/file"
    site.answers["/file"] = lambda request: send(request, 503)
    policy = QUICK.model_copy(update={"first_pause": 1.0, "n_tries": 9, "jitter": 0.5})
    with pytest.raises(TransientError, match="9 tries"):
        fetch(unchecked(url), folder, policy)
    plain = [min(2.0**attempt, 60.0) for attempt in range(8)]
    shares = [pause / own for pause, own in zip(pauses, plain, strict=True)]
    assert all(1.0 <= share <= 1.5 for share in shares)
    assert len(set(shares)) > 1
