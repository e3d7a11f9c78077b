"""Releases of JARVIS-DFT from a real server: whole and as stated, or refused."""

import hashlib
import io
import json
import zipfile

import pytest

from crystalgnn_core.errors import DownloadError, TransientError
from crystalgnn_core.remote.downloads import Patience
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.jarvis.releases import ARTICLE, RELEASES, obtain_release
from crystalgnn_core.sources.jarvis.source import JarvisSource
from tests.core.sources.jarvis.test_source import record
from tests.core.web import file_answer, running_site, send

QUICK = Patience(connect_seconds=2, read_seconds=2, n_tries=2, first_pause=0.01)
NAME = "jdft_3d-8-18-2021.json.zip"
NUMBER = RELEASES["dft_3d_2021"].file


def archive_of(records):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jdft_3d-8-18-2021.json", json.dumps(records))
    return stream.getvalue()


ARCHIVE = archive_of([record(f"JVASP-{number}") for number in range(30)])


@pytest.fixture
def site():
    with running_site() as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archives"


def offer(site, content=ARCHIVE, **changes):
    """List the release among the files of an earlier version of the article."""
    entry = {
        "id": NUMBER,
        "name": "../../any.zip",
        "size": len(content),
        "download_url": f"{site.url}/file",
        "computed_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
    place = f"/articles/{ARTICLE}"
    answers = {
        f"{place}/files": [],
        f"{place}/versions": [{"version": 1}, {"version": 2}],
        f"{place}/versions/1/files": [entry | changes],
    }
    for path, answer in answers.items():
        body = json.dumps(answer).encode()
        site.answers[path] = lambda request, body=body: send(request, 200, body)
    site.serve("/file", content)


def obtain(site, folder):
    return obtain_release("dft_3d_2021", folder, api=site.url, patience=QUICK)


def left_over(folder):
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_release_arrives_once_under_its_own_name(site, folder):
    offer(site)
    path = obtain(site, folder)
    assert path == folder / NAME
    assert path.read_bytes() == ARCHIVE
    assert left_over(folder) == [NAME, f"{NAME}.origin.json"]
    n_asked = len(site.asked)
    assert obtain(site, folder) == path
    assert len(site.asked) == n_asked


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"computed_md5": "0" * 32}, "MD5 .*not 0000"),
        ({"size": 7}, "not 7; what .* was thrown away"),
        ({"id": 8}, f"no file {NUMBER} in its 2 versions"),
    ],
)
def test_another_file_is_refused_and_leaves_nothing_behind(site, folder, changes, words):
    offer(site, **changes)
    with pytest.raises(DownloadError, match=f"{words}.*save .*{NUMBER} by other means as"):
        obtain(site, folder)
    assert left_over(folder) == []


@pytest.mark.parametrize("kind", ["text/html", "application/zip"])
def test_a_page_in_place_of_the_archive_leaves_nothing_behind(site, folder, kind):
    offer(site)
    site.serve("/file", b"<!DOCTYPE html><html>Sign in</html>", kind=kind)
    with pytest.raises(DownloadError, match="HTML page"):
        obtain(site, folder)
    assert left_over(folder) == []


def test_a_short_archive_leaves_nothing_behind(site, folder):
    offer(site)
    site.serve("/file", ARCHIVE[:-100])
    with pytest.raises(TransientError, match=r"bytes arrived \(2 tries\)"):
        obtain(site, folder)
    assert left_over(folder) == []


def test_a_cut_download_goes_on_where_it_was_cut(site, folder):
    offer(site)
    site.in_turn("/file", file_answer(ARCHIVE, stops_at=300), file_answer(ARCHIVE))
    assert obtain(site, folder).read_bytes() == ARCHIVE
    asked = [headers.get("Range") for path, headers in site.asked if path == "/file"]
    assert asked[0] is None
    assert asked[1].startswith("bytes=")


def test_a_release_that_was_exchanged_is_refused(site, folder):
    offer(site)
    path = obtain(site, folder)
    path.write_bytes(archive_of([record("JVASP-1")]))
    with pytest.raises(DownloadError, match="not the file that was used before"):
        obtain(site, folder)


def test_a_busy_host_is_a_failure_that_may_pass(site, folder):
    site.answers[f"/articles/{ARTICLE}/files"] = lambda request: send(request, 503)
    with pytest.raises(TransientError, match=r"503.*by other means"):
        obtain(site, folder)
    assert left_over(folder) == []


def test_a_release_goes_from_the_host_to_the_table(site, tmp_path, monkeypatch):
    offer(site)
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    source = JarvisSource(api=site.url, patience=QUICK, part_size=8)
    report = ingest_source(tmp_path / "store", source)
    assert (report.n_kept, report.source_version) == (30, "dft_3d_2021")
    assert (tmp_path / "cache" / "downloads" / "jarvis" / NAME).is_file()
    chosen = source.model_copy(update={"downloads": str(tmp_path / "own")})
    assert not ingest_source(tmp_path / "store", chosen).was_read  # the same content
    assert (tmp_path / "own" / NAME).is_file()


def test_the_catalogue_is_that_of_jarvis_tools():
    info = pytest.importorskip("jarvis.db.figshare").get_db_info()
    for name, release in RELEASES.items():
        # the newest one has no name of its own there
        url, member, count, paper = info.get(name, info["dft_3d"])[:4]
        if name not in info and member != release.member:
            pytest.skip("jarvis-tools knows another newest release")
        assert (release.remote.url, release.member) == (url, member)
        assert f"{release.n_about // 1000}k" in count
        assert paper.partition("\n")[0].rpartition("/")[2] in release.citation
