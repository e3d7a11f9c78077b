"""Failures of the Materials Project's service, and its key, with the real client."""

import json
import logging
import pickle
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from crystalgnn_core.errors import SourceError, TransientError
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.materials_project.session import open_client
from tests.core.sources.materials_project.service import KEY, cut, fault, running_service
from tests.core.sources.materials_project.world import QUICK, fill, source, stored
from tests.core.web import send


@pytest.fixture
def gate():
    """What answers wait for, opened at the end."""
    opened = threading.Event()
    yield opened
    opened.set()


@pytest.mark.parametrize(
    "faults",
    [
        [fault(429, Retry_After=0), fault(429, Retry_After=0)],
        [fault(502), fault(504)],
        [fault(500), fault(503)],
        [fault(500, b"<html>oops</html>", Retry_After="0")],
        [cut, cut],
        [fault(200, b"<html>be right back</html>", Content_Type="text/html")],
        [fault(200, b'{"data": null}')],
        [fault(408), cut],
    ],
    ids=["429", "gateway", "500", "wait", "cut", "html", "null", "mixed"],
)
@pytest.mark.parametrize("route", ["summary", "thermo"])
def test_what_passes_is_tried_again(service, tmp_path, route, faults):
    plan = plan_ingest(tmp_path, source(service))
    service.faults[route] += faults
    state = read_part(source(service), plan.parts[0], Path(plan.folder))
    assert state.n_in == state.records.n_rows == 5
    assert service.faults[route] == []


def test_the_service_says_how_long_to_wait(service, tmp_path, monkeypatch):
    plan = plan_ingest(tmp_path, source(service))
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    patience = QUICK.model_copy(update={"longest_pause": 30.0, "jitter": 0.0})
    wanted = source(service, patience=patience)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    for given, least, most in ((7, 7, 7), (86_400, 30, 30), (soon, 15, 20)):
        service.faults["summary"].append(fault(429, Retry_After=given))
        pauses.clear()
        read_part(wanted, plan.parts[0], tmp_path / str(least))
        [pause] = pauses
        assert least <= pause <= most


def test_the_heartbeat_is_tried_again_too(service, tmp_path):
    service.faults["heartbeat"] += [fault(503), cut]
    assert plan_ingest(tmp_path, source(service)).reading.n_expected == 12


@pytest.mark.parametrize("bad", [fault(500), fault(429), cut])
def test_tries_are_bounded(service, tmp_path, bad):
    plan = plan_ingest(tmp_path, source(service))
    service.faults["summary"] += [bad] * 100
    with pytest.raises(TransientError, match=r"3 tries.*try again later"):
        read_part(source(service), plan.parts[0], Path(plan.folder))
    assert len(service.faults["summary"]) == 97


def test_slow_answers_are_not_waited_for(service, gate):
    service.before = lambda *_: gate.wait(60)
    slow = QUICK.model_copy(update={"read_seconds": 0.1, "n_tries": 1})
    with (
        open_client(service.endpoint, slow) as client,
        pytest.raises(TransientError, match=r"summary: .*timed out.*1 tries"),
    ):
        client.count({"deprecated": False})


def test_a_heartbeat_that_the_client_waits_for_is_given_up(service, gate):
    service.faults["heartbeat"].append(lambda _: gate.wait(60))
    slow = QUICK.model_copy(
        update={"connect_seconds": 0.1, "read_seconds": 0.1, "n_tries": 1}
    )
    with (
        pytest.raises(TransientError, match=r"hears no heartbeat .it waits in vain"),
        open_client(service.endpoint, slow),
    ):
        pass


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_told_once(service, tmp_path, code):
    service.faults["summary"] += [fault(code, b'{"detail": "no"}')] * 9
    with pytest.raises(SourceError, match=f"refuses the key.*{code}.*MP_API_KEY"):
        plan_ingest(tmp_path, source(service))
    assert len(service.faults["summary"]) == 8


@pytest.mark.parametrize(
    ("given", "words"),
    [(None, "no key of the"), ("", "no key of the"), ("abc", "3 characters, expected 32")],
)
def test_a_missing_key_is_told_before_anything_is_asked(
    service, tmp_path, monkeypatch, given, words
):
    if given is None:
        monkeypatch.delenv("MP_API_KEY")
    else:
        monkeypatch.setenv("MP_API_KEY", given)
    with pytest.raises(SourceError, match=words):
        plan_ingest(tmp_path, source(service))
    assert service.site.asked == []


def test_a_key_of_another_user_is_refused_and_not_repeated(service, tmp_path, monkeypatch):
    other = "secret-secret-secret-secret-0123"
    monkeypatch.setenv("MP_API_KEY", other)
    with pytest.raises(SourceError, match="refuses the key") as caught:
        plan_ingest(tmp_path, source(service))
    assert other not in everything(caught.value)


def everything(error):
    """Return all texts of an error, its causes and their arguments."""
    texts = []
    while error is not None:
        texts += [repr(error), str(error), repr(vars(error)), repr(error.args)]
        error = error.__cause__ or error.__context__
    return " ".join(texts)


@pytest.mark.parametrize(
    "code", [400, 404, 418, 500, 502], ids=lambda code: f"answer-{code}"
)
def test_a_key_that_the_service_echoes_is_kept_out(service, tmp_path, caplog, code):
    body = json.dumps({"detail": f"key {KEY} cannot do this"}).encode()
    service.faults["summary"] += [fault(code, body)] * 20
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises((SourceError, TransientError)) as caught,
    ):
        plan_ingest(tmp_path, source(service))
    assert KEY not in everything(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(pickle.loads(pickle.dumps(caught.value)))


def test_the_key_is_in_no_file_setting_or_reference(service, tmp_path, caplog):
    wanted = source(service)
    with caplog.at_level(logging.DEBUG):
        plan = plan_ingest(tmp_path, wanted)
        ingest_source(tmp_path, wanted)
    for text in (repr(wanted), wanted.model_dump_json(), repr(plan), caplog.text):
        assert KEY not in text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def answering(content):
    body = json.dumps(content).encode()
    return lambda request: send(request, 200, body, Content_Type="application/json")


@pytest.mark.parametrize(
    "batches", [5, "gnome_r2scan_statics", {"a": 1}, [1], [["a"]], [None], True]
)
def test_batches_of_the_wrong_type_are_refused_as_they_decide_about_licences(
    service, tmp_path, batches
):
    service.restricted = batches
    with pytest.raises(SourceError, match="access_controlled_batch_ids is no list"):
        plan_ingest(tmp_path, source(service))


@pytest.mark.parametrize("total", [None, "many", -3, 1.5, [], {}, True, 10**7, 10**30])
def test_a_count_that_is_none_or_lies_ends_in_an_error_of_ours(service, tmp_path, total):
    honest = service.site.answers["/materials/summary/"]

    def miscount(request):
        if "_limit=1&" in f"{request.path}&":
            wrong = {"data": [{"material_id": "mp-1"}], "meta": {"total_doc": total}}
            answering(wrong)(request)
        else:
            honest(request)

    service.site.answers["/materials/summary/"] = miscount
    with pytest.raises((SourceError, TransientError)):
        plan_ingest(tmp_path, source(service))
    assert len(service.site.asked) < 40


@pytest.mark.parametrize(
    "data",
    [5, "mp-1", {"mp-1": {}}, [5], ["mp-1"], [None], [[]], [{"material_id": 5}], [{}]],
)
def test_documents_of_the_wrong_type_are_rejects_or_errors_of_ours(service, tmp_path, data):
    wanted = source(service)
    plan = plan_ingest(tmp_path, wanted)
    wrong = answering({"data": data, "meta": {"total_doc": 12}})
    service.site.answers["/materials/summary/"] = wrong
    with pytest.raises((SourceError, TransientError)):
        read_part(wanted, plan.parts[0], Path(plan.folder))
    with pytest.raises((SourceError, TransientError)):
        plan_ingest(tmp_path / "other", wanted)


def test_a_redirection_does_not_carry_the_key_away(service, tmp_path):
    with running_service() as elsewhere:
        target = f"{elsewhere.endpoint}materials/summary/"
        service.faults["summary"].append(fault(307, Location=target))
        with pytest.raises(SourceError, match="names another address; set endpoint"):
            plan_ingest(tmp_path, source(service))
        assert elsewhere.site.asked == []


def test_no_service_at_the_address_is_told(service, tmp_path):
    lost = source(service, endpoint=f"{service.endpoint}nowhere")
    with pytest.raises(SourceError, match=r"no Materials Project service.*see endpoint"):
        plan_ingest(tmp_path, lost)
    service.site.serve("/mirror/heartbeat", b'{"status": "OK"}', kind="application/json")
    with pytest.raises(SourceError, match="names no db_version"):
        plan_ingest(tmp_path, source(service, endpoint=f"{service.endpoint}mirror/"))


def test_long_lists_of_ids_are_split_by_the_client(service, tmp_path):
    fill(service, 620)
    ingest_source(tmp_path, source(service, part_size=1000))
    for document in service.documents["summary"]:
        document["last_updated"] = "2026-02-01T00:00:00"
    service.release = "2026.02"
    service.max_address = 3000
    service.forget()
    report = ingest_source(tmp_path, source(service, part_size=1000))
    assert (report.n_in, report.n_kept) == (620, 620)
    assert sorted(service.structures_sent) == sorted(stored(tmp_path))


def test_nothing_but_the_endpoint_is_connected_to(service, tmp_path, monkeypatch):
    real, reached = socket.socket.connect, set()

    def connect(self, address):
        reached.add(address)
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    ingest_source(tmp_path, source(service))
    port = int(service.endpoint.rstrip("/").rpartition(":")[2])
    assert reached == {("127.0.0.1", port)}
