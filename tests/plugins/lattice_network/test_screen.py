"""The network is chosen in the settings, trained, read back, and used in a screen."""

from pathlib import Path

import pandas as pd

from crystalgnn_core import predict
from crystalgnn_core.config import load_config
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.config import FinetuningConfig
from crystalgnn_core.learning.finetuning import finetune_model
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.base import NetworkConfig
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.sources.ingest.run import read_source
from tests.core import worlds
from tests.plugins.lattice_network.config import LatticeNetworkConfig

SETTINGS = ("model.kind=lattice_network", "model.width=8", "model.n_layers=1")


def test_from_settings_to_ranked_candidates(tmp_path):
    config = load_config(overrides=SETTINGS)
    assert isinstance(config.model, NetworkConfig)
    assert (
        config.model.model_dump() == LatticeNetworkConfig(width=8, n_layers=1).model_dump()
    )
    assert config.graph == config.model.default_graph()

    for source in (worlds.SOURCE, worlds.CANDIDATES):
        worlds.ingest(tmp_path, source)
    worlds.build_graphs(tmp_path, config.graph)
    training = worlds.TRAINING.model_copy(update={"epochs": 1})
    model = train_model(tmp_path, config.model, training, config.graph)
    folder = Path(model.folder)
    assert folder.name.startswith("lattice_network-")
    assert read_card(folder).model == config.model

    gentle = FinetuningConfig(epochs=1)
    tuned = finetune_model(tmp_path, folder, training, gentle)
    assert tuned.card.base is not None

    worlds.predict_candidates(tmp_path, folder)
    screen = rank_screen(tmp_path, worlds.SCREENING, [folder])
    ranking = pd.read_parquet(Path(screen.folder) / "ranking.parquet")
    assert ranking["score"].between(0, 1).all()
    assert len(ranking) == screen.n_scored > 0
    crystals = [record.crystal for record in read_source(worlds.SOURCE)]
    table = predict(crystals[:2], model.model_id, store=tmp_path)
    assert table["status"].tolist() == ["ok", "ok"]
