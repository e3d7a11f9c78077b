"""The change gate in the flows: artifact, event, and a stop before training."""

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import SuspiciousDataError
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.gate.log import GateLog
from tests.tiny import TINY

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact as StoredArtifact

pytestmark = pytest.mark.xdist_group("prefect")
EVENT_SECONDS = 30.0


def with_rows(config, **n_structures):
    """Change how many rows the sources hold."""
    sources = [
        {**entry, "n_structures": n_structures.get(entry["name"], entry["n_structures"])}
        for entry in TINY["sources"]
    ]
    return PipelineConfig.model_validate(TINY | {"store": config.store, "sources": sources})


def events_of(store, n_expected):
    """Wait for the events of a store to reach the server; return their payloads."""
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + EVENT_SECONDS
    wanted = {"event": {"name": ["crystalgnn.records.updated"]}}
    found: list[dict[str, Any]] = []
    with get_client(sync_client=True) as client:
        while len(found) < n_expected and time.monotonic() < deadline:
            answer = client.request("POST", "/events/filter", json={"filter": wanted})
            found = [
                event
                for event in answer.json()["events"]
                if event["resource"]["crystalgnn.store"] == str(store)
            ]
            time.sleep(0.2)
    return sorted(found, key=lambda event: event["occurred"])


@pytest.mark.usefixtures("prefect_api")
def test_verdicts_are_published_and_new_rows_announced_once(tiny_config):
    from prefect.artifacts import Artifact

    from flows.records import ingest

    summary = ingest(tiny_config)
    verdicts = [report.gate and report.gate.verdict for report in summary.reports]
    assert verdicts == ["large update"] * 2
    ingest(tiny_config)  # nothing changed, nothing is announced
    fewer = with_rows(tiny_config, synthetic=60)
    note = ingest(fewer).note
    assert "suspicious: rows 120 -> 60, 50.0 % lost" in note
    assert "suspicious: rows 120 -> 60" in ingest(fewer).note  # still

    artifact = cast("StoredArtifact | None", Artifact.get("gate-synthetic"))
    assert artifact is not None
    assert "suspicious" in str(artifact.data)
    assert "| **alarm** | rows | rows 120 -> 60, 50.0 % lost" in str(artifact.data)

    events = events_of(tiny_config.store_path, 3)
    assert [event["resource"]["prefect.resource.id"] for event in events] == [
        "crystalgnn.records.synthetic",
        "crystalgnn.records.candidates",
        "crystalgnn.records.synthetic",
    ]
    assert events[-1]["payload"] == {
        "source": "synthetic",
        "version_before": 1,
        "version": 3,
        "verdict": "suspicious",
        "n_new": 0,
        "n_changed": 0,
        "n_removed": 60,
    }


@pytest.mark.usefixtures("prefect_api")
def test_nothing_is_trained_on_a_suspicious_source_until_it_is_accepted(own_run):
    from flows.learning import finetune, retrain, train
    from flows.pipeline import pipeline
    from flows.screening import rescreen

    tiny_config, first = own_run
    assert first.screened is not None
    fewer = with_rows(tiny_config, synthetic=60)
    for flow in (retrain, pipeline, train):
        with pytest.raises(SuspiciousDataError, match="records accept synthetic"):
            flow(fewer)
    with pytest.raises(SuspiciousDataError, match=r"120 -> 60, 50\.0 % lost"):
        finetune(fewer, first.trained.model_id)
    registry = Registry(tiny_config.store_path)
    assert list(registry.champions().values()) == [first.trained.model_id]

    screened = rescreen(fewer)  # the candidates are sound, and so is the champion
    assert screened.result.n_in == first.screened.result.n_in
    assert "suspicious" in (fewer.store_path / "ingests/synthetic.gate.md").read_text()

    GateLog(fewer.store_path, "synthetic").accept("fewer on purpose")
    assert train(fewer).was_trained


def test_an_event_that_was_lost_is_emitted_by_the_next_run(tmp_path, monkeypatch):
    from crystalgnn_core.sources.ingest.run import ingest_source
    from crystalgnn_core.sources.synthetic.source import SyntheticSource
    from tasks import records

    emitted = []
    monkeypatch.setattr(records, "create_markdown_artifact", lambda *_, **__: None)
    monkeypatch.setattr(
        records, "emit_event", lambda name, **content: emitted.append((name, content))
    )
    source = SyntheticSource(n_structures=30)
    ingest_source(tmp_path, source)  # and the process ends before the event
    for _ in range(2):
        report = ingest_source(tmp_path, source)
        records.announce_verdict.fn(tmp_path, report)
    [(name, content)] = emitted
    assert name == "crystalgnn.records.updated"
    assert content["resource"]["prefect.resource.id"] == "crystalgnn.records.synthetic"
    assert content["payload"]["n_new"] == 30
