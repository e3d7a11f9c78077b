"""What a screen says before it begins."""

from types import SimpleNamespace

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.graphs.config import GraphConfig


@pytest.mark.parametrize(
    ("settings", "is_named"),
    [
        ({}, False),
        ({"model": {"kind": "megnet"}}, False),
        ({"graph": {"cutoff": 6.0}}, False),  # that of the second model
        ({"graph": {"cutoff": 5.0}}, True),
        ({"model": {"kind": "megnet"}, "graph": {"cutoff": 4.5}}, True),
    ],
)
def test_graph_settings_that_no_model_uses_are_named(
    monkeypatch, caplog, tmp_path, settings, is_named
):
    from flows import screening

    graphs = {"first": GraphConfig(n_neighbors=8), "second": GraphConfig(cutoff=6.0)}
    monkeypatch.setattr(
        screening, "read_card", lambda folder: SimpleNamespace(graph=graphs[folder.name])
    )
    config = PipelineConfig.model_validate(settings)
    screening._name_unused_graph(config, tuple(tmp_path / name for name in graphs))
    lines = [line for line in caplog.messages if "do not apply to a screen" in line]
    assert len(lines) == is_named
