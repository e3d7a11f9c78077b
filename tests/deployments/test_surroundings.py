"""Proxies, certificates, silent servers, odd homes: the server here, or one line."""

import os
import re
import socket

import certifi
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from crystalgnn_core.errors import DownloadError, ServerError
from crystalgnn_core.remote.downloads import RetryPolicy
from crystalgnn_core.remote.http import _trusted, check_certificates
from crystalgnn_core.sources.materials_project.session import open_client
from deployments.server_errors import check_server
from deployments.session import keep_loopback_from_proxies

pytestmark = pytest.mark.xdist_group("prefect")


def forget_proxies(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.parametrize("spared", ["", "::1", "10.127.0.0.1", "intern, localhost"])
def test_a_server_on_this_machine_is_asked_past_any_proxy(
    run, prefect_api, monkeypatch, spared
):
    """PrefectHQ/prefect#19579: an HTTP_PROXY of a company, and no NO_PROXY."""
    forget_proxies(monkeypatch)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", spared)
    monkeypatch.setenv("no_proxy", "")
    outcome = run("doctor")
    assert "PROBLEM" not in outcome.out, outcome.out
    names = [name.strip() for name in os.environ["NO_PROXY"].split(",")]
    assert {*spared.replace(" ", "").split(",")} - {""} <= {*names}
    assert {"127.0.0.1", "localhost", "::1"} <= {*names}


def test_hosts_that_are_all_spared_stay_so(monkeypatch):
    forget_proxies(monkeypatch)
    monkeypatch.setenv("NO_PROXY", "*")
    keep_loopback_from_proxies()
    assert os.environ["NO_PROXY"] == "*"


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://someone:secret@proxy:1080", r"needs the package httpx\[socks\]"),
        ("socket://someone:secret@proxy:1080", "Unknown scheme; correct it"),
        ("http://someone:secret@proxy:port", "Invalid port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    run, monkeypatch, proxy, words
):
    forget_proxies(monkeypatch)
    monkeypatch.setenv("ALL_PROXY", proxy)
    outcome = run("ingest", "--source", "synthetic")
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert re.search(f"^crystalgnn: ALL_PROXY: .*{words}.* unset", outcome.err)
    shown = run("doctor").out
    assert "ALL_PROXY" in shown
    assert "secret" not in outcome.err + shown


@pytest.fixture
def no_certificates(monkeypatch):
    """No variable names certificates, and none are loaded."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    _trusted.cache_clear()
    yield
    _trusted.cache_clear()


@pytest.mark.usefixtures("no_certificates")
@pytest.mark.parametrize(
    ("name", "place", "words"),
    [
        ("SSL_CERT_FILE", "gone/cacert.pem", "No such file or directory"),
        ("SSL_CERT_FILE", __file__, "it holds no certificates"),
        ("SSL_CERT_FILE", "/dev/null", "it holds no certificates"),
        ("SSL_CERT_DIR", "gone:away", "no such folder"),
        ("SSL_CERT_DIR", __file__, "no such folder"),
        ("PREFECT_API_SSL_CERT_FILE", "gone/cacert.pem", "No such file or directory"),
    ],
)
def test_certificates_that_are_gone_are_named_with_their_variable(
    run, monkeypatch, name, place, words
):
    """ContinuumIO/anaconda-issues#13509, HKUDS/DeepTutor#920: another conda environment."""
    monkeypatch.setenv(name, place)
    outcome = run("ingest", "--source", "synthetic")
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1), outcome.err
    assert outcome.err.startswith(f"crystalgnn: {name} is '{place}', where no certificates")
    assert re.search(f"{words}.* unset the variable", outcome.err)
    assert name in run("doctor").out


def test_a_folder_of_certificates_is_trusted(monkeypatch, tmp_path):
    for name, place in (("SSL_CERT_DIR", f"gone:{tmp_path}"), ("A_BUNDLE", str(tmp_path))):
        monkeypatch.setenv(name, place)
        check_certificates(name)
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    check_certificates("SSL_CERT_FILE", "UNSET")


@pytest.mark.usefixtures("no_certificates")
def test_certificates_of_the_materials_project_are_looked_at_before_it(monkeypatch):
    """Its client, on requests, obeys REQUESTS_CA_BUNDLE, then CURL_CA_BUNDLE."""
    monkeypatch.setenv("MP_API_KEY", "x" * 32)
    monkeypatch.setenv("CURL_CA_BUNDLE", "/gone/cacert.pem")
    with (
        pytest.raises(DownloadError, match="CURL_CA_BUNDLE is '/gone/cacert"),
        open_client("https://127.0.0.1:9/", RetryPolicy()),
    ):
        pytest.fail("it was opened")


def test_a_server_that_never_answers_is_not_waited_for_long():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        temporary_settings(
            {PREFECT_API_URL: f"http://127.0.0.1:{silent.getsockname()[1]}/api"}
        ),
        pytest.raises(ServerError, match="no Prefect server answers"),
    ):
        check_server(timeout=0.2)


@pytest.mark.parametrize("name", ["a?b", "new\nline", "b\udcff"])
def test_a_home_whose_database_would_be_another_file_is_refused(
    name, run, tmp_path, monkeypatch
):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    home = {PREFECT_HOME: tmp_path / name}
    with temporary_settings(home, restore_defaults=[PREFECT_API_URL]):
        outcome = run("ingest", "--source", "synthetic")
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert outcome.err.startswith("crystalgnn: PREFECT_HOME ")
    assert not list(tmp_path.iterdir())
