import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crystalgnn_core.config import PipelineConfig, load_config
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.settings import merge, read_yaml

NETWORKS = (
    "alignn",
    "cgcnn",
    "cogn",
    "composition_gnn",
    "composition_mlp",
    "composition_trees",
    "megnet",
    "schnet",
)
OTHER_GRAPH = {
    "strategy": "knn",
    "cutoff": 6.5,
    "n_neighbors": 9,
    "shell_tolerance": 0.02,
    "too_few": "reject",
    "max_cutoff": 15.0,
    "symmetric": True,
}
YAML = """
store: from-file
training: {epochs: 7, batch_size: 32}
sources:
  - {kind: synthetic, name: one, n_structures: 10}
  - {kind: synthetic, name: two, n_structures: 20, seed: 1}
"""


@pytest.fixture
def write(tmp_path):
    def file(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return file


def refuse(*args, **kwargs):
    """Return the one line with which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_each_layer_overrides_the_one_below(write):
    base = {"store": "from-base", "training": {"epochs": 3, "patience": 2}}
    assert load_config(base=base).training.epochs == 3
    config = load_config(write(YAML), ["training.epochs=9"], base=base)
    assert config.store == "from-file"
    assert (config.training.epochs, config.training.batch_size) == (9, 32)
    assert config.training.patience == 2
    assert config.training.loss == PipelineConfig().training.loss


def test_overrides_do_not_leak_into_the_base():
    base = {"training": {"epochs": 3}, "sources": [{"kind": "synthetic"}]}
    load_config(overrides=["training.epochs=9", "sources.0.seed=5"], base=base)
    assert base == {"training": {"epochs": 3}, "sources": [{"kind": "synthetic"}]}


def test_a_later_override_wins():
    config = load_config(overrides=["training.epochs=2", "training.epochs=4"])
    assert config.training.epochs == 4


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.targets=[band_gap]", ("band_gap",)),
        ("training.optimizer.learning_rate=1e-3", 1e-3),
        ("store=a=b", "a=b"),
        ("training.allow_mixed_schemes=true", True),
        ("screening.score.gap_window=[0.5, 2]", (0.5, 2.0)),
    ],
)
def test_values_are_read_as_yaml(override, expected):
    value = load_config(overrides=[override])
    for name in override.partition("=")[0].split("."):
        value = getattr(value, name)
    assert value == expected


@pytest.mark.parametrize(
    "store", ["/x #1/s", "2026-11-25", "no", "null", "007", "a: b", "{x}", "*x", "!x", "#1"]
)
def test_the_option_store_is_a_path_and_no_yaml(store):
    config = load_config(overrides=["store=other"], store=store)
    assert config.store == store
    assert str(config.store_path).endswith(store)


def test_a_comment_in_an_override_is_not_lost_in_silence():
    for override in ("store=/x #1/s", "store= #1", "sources=[{kind: textbook}] # one"):
        assert "is a comment in YAML and would be lost" in refuse(overrides=[override])
    assert load_config(overrides=['store="/x #1/s"']).store == "/x #1/s"
    assert load_config(overrides=["store=/x#1/s"]).store == "/x#1/s"


def test_a_key_that_is_given_twice_is_refused_with_both_places(write):
    message = refuse(write("store: a\ntraining:\n  epochs: 1\n  epochs: 2\n"))
    assert "line 4, column 3: epochs is given twice, first in line 3" in message
    merged = "training: &t {epochs: 5, seed: 1}\nfinetuning: {<<: {epochs: 5}, epochs: 7}\n"
    assert load_config(write(merged)).finetuning.epochs == 7


def test_the_place_that_gave_a_bad_value_is_named(write):
    file = write("training: {epochs: 3, split: {val_fraction: 0.7}}")
    assert refuse(file, ["training.epoch=3"]).startswith(
        "--set 'training.epoch=3': unknown"
    )
    assert refuse(file, ["training.split.test_fraction=0.6"]).startswith(
        f"{file}: training"
    )
    assert refuse(file, ["gate={max_lost: 1}"]).startswith(
        "--set 'gate={max_lost: 1}': gate.max_lost: unknown key"
    )
    entry = {"kind": "files", "name": "a/b", "path": "x"}
    assert refuse(file, options={"sources": [entry]}).startswith("--name: use letters")
    assert refuse(file, store="").startswith("--store: is empty")
    halves = [f"training.split.{name}_fraction=0.6" for name in ("val", "test")]
    message = refuse(write("training: {epochs: 3}"), halves)
    assert message.startswith(f"--set '{halves[1]}': training")
    window = "screening.score.gap_window=[3,1]"
    message = refuse(file, [window], options={"screening": {"name": "x"}})
    assert message.startswith(f"--set '{window}': screening")
    column = {"column": "gap", "label_scheme": "x", "at_most": 0}
    table = {"kind": "files", "name": "t", "path": "t.csv", "targets": {"band_gap": column}}
    assert refuse(file, options={"sources": [table]}).startswith("--source: band_gap is")


def test_items_of_a_list_are_set_by_position(write):
    config = load_config(write(YAML), ["sources.1.n_structures=5"])
    sizes = [source.model_dump()["n_structures"] for source in config.sources]
    assert sizes == [10, 5]
    for position in ("2", "-1", "one"):
        message = refuse(write(YAML), [f"sources.{position}.n_structures=5"])
        assert f"'{position}' is no position in a list of 2" in message


@pytest.mark.parametrize("override", ["epochs", "=5", ""])
def test_an_override_without_key_or_value_is_explained(override):
    assert "write key=value" in refuse(overrides=[override])


@pytest.mark.parametrize("key", ["sources.0.name", "sources.3", "0"])
def test_a_position_without_a_list_is_explained(key):
    assert "there is no list in which" in refuse(overrides=[f"{key}=x"])


def test_a_value_that_yaml_cannot_make_is_refused():
    assert "month must be in 1..12" in refuse(overrides=["screening.name=2026-13-45"])


def test_an_override_that_is_no_yaml_is_refused():
    assert "not valid YAML" in refuse(overrides=["training.targets=[a"])


def test_nothing_can_be_set_below_a_plain_value():
    assert "--set 'store.deep.er=1'" in refuse(
        overrides=["store.deep.er=1"], base={"store": "s"}
    )


def test_an_unknown_key_is_named_with_its_file(write):
    path = write("training: {epoch: 5}")
    assert refuse(path) == f"{path}: training.epoch: unknown key; did you mean epochs?"


def test_many_mistakes_fit_into_one_line(write):
    message = refuse(write("{a: 1, b: 2, c: 3, d: 4, e: 5}"))
    assert message.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2", "not valid YAML"),
        ("- a\n- b", "expected keys and values, found a list"),
        ("store: {a: b}", "store: expected text"),
        ("sources: [{kind: cake}]", "cake"),
        ("training: {targets: [volume]}", "training.targets.0: unknown target 'volume'"),
        ("training: {targets: []}", "training.targets: no target is named"),
        ("training: {2026-01-01: x}", "column 12: 2026-01-01 is no text as a key; put it"),
        ("sources: {No: 1}", "No is no text as a key; put it in quotes"),
        ("store: !!int x", "not valid YAML (invalid literal for int"),
        ("schedule: {timezone: Mars/Olympus}", "schedule.timezone: no such time zone"),
        ("schedule: {timezone: ../etc}", "schedule.timezone: no such time zone"),
        (
            "sources: [{kind: files, name: f, path: p, labels: l.csv}]",
            "sources.0: labels is 'l.csv' but targets is empty",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(write, text, expected):
    assert expected in refuse(write(text))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert "No such file" in refuse(tmp_path / "missing.yaml")
    assert "cannot be read" in refuse(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"store: caf\xe9")
    assert "not UTF-8 text (byte 11)" in refuse(tmp_path / "latin.yaml")


def test_an_empty_file_changes_nothing(write):
    assert load_config(write("")) == PipelineConfig()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"sources": [{"kind": "synthetic"}, {"kind": "synthetic", "seed": 1}]},
            "two sources are named synthetic",
        ),
        (
            {"sources": [{"kind": "textbook"}], "training": {"sources": ["textbook"]}},
            "'textbook' holds unlabelled examples",
        ),
        ({"training": {"targets": ["band_gap", "band_gap"]}}, "named twice"),
        ({"training": {"seed": -1}}, "training.seed"),
        ({"training": {"split": {"val_fraction": 0.6, "test_fraction": 0.5}}}, "nothing"),
        ({"graph": {"cutoff": 9, "max_cutoff": 8}}, "max_cutoff 8.0 is below cutoff 9.0"),
        (
            {"screening": {"score": {"gap_window": [3, 1]}}},
            "gap_window: lowest 3 is above highest 1",
        ),
    ],
)
def test_contradictory_settings_are_refused(content, expected):
    assert expected in refuse(base=content)


def test_another_kind_of_model_takes_no_settings_of_the_first(write):
    path = write("optimizer: {kind: two, b: 2}")
    merged = merge({"optimizer": {"kind": "one", "a": 1}}, read_yaml(path))
    assert merged == {"optimizer": {"kind": "two", "b": 2}}
    assert merge({"m": {"kind": "one", "a": 1}}, {"m": {"b": 2}}) == {
        "m": {"kind": "one", "a": 1, "b": 2}
    }


def test_command_options_win_over_the_file_and_lose_to_set(write):
    options = {"training": {"epochs": 4, "patience": 6}}
    config = load_config(write(YAML), ["training.epochs=9"], options=options)
    assert config.training.epochs == 9
    assert config.training.patience == 6


def test_graphs_are_those_that_the_network_is_made_for():
    def graph(**settings):
        return PipelineConfig.model_validate(settings).graph

    assert graph() == graph(model={}) == GraphConfig()
    assert graph(model={"kind": "alignn"}) == GraphConfig(symmetric=True)
    assert graph(model={"kind": "megnet"}).cutoff == 4.0
    assert graph(model={"kind": "schnet", "cutoff": 6.0}).cutoff == 6.0
    for kind in ("composition_mlp", "composition_trees"):
        assert graph(model={"kind": kind}) == GraphConfig(strategy="none")
    wider = graph(model={"kind": "megnet"}, graph={"cutoff": 4.5})
    assert (wider.strategy, wider.cutoff, wider.too_few) == ("radius", 4.5, "keep")
    with pytest.raises(ValidationError, match="n_interactions"):
        graph(model={"kind": "schnet", "n_interactions": 0})


@pytest.mark.parametrize("kind", NETWORKS)
@given(part=st.sets(st.sampled_from(sorted(OTHER_GRAPH))))
@settings(max_examples=25, deadline=None)
def test_a_partly_given_graph_keeps_the_other_defaults_of_the_network(kind, part):
    default = PipelineConfig.model_validate({"model": {"kind": kind}}).graph.model_dump()
    given = {name: OTHER_GRAPH[name] for name in part}
    config = PipelineConfig.model_validate({"model": {"kind": kind}, "graph": given})
    assert config.graph.model_dump() == default | given


@pytest.mark.parametrize(
    ("model", "graph"),
    [
        ({}, {"cutoff": 4.9}),
        ({"cutoff": 8.1}, {"cutoff": 8.0}),
        ({}, {"strategy": "knn_shell", "cutoff": 4, "too_few": "keep"}),
    ],
)
def test_graphs_that_end_below_the_cutoff_of_schnet_are_refused(model, graph):
    base = {"model": {"kind": "schnet", **model}, "graph": graph}
    message = refuse(base=base)
    assert f"graph.cutoff {graph['cutoff']:g} is below model.cutoff" in message
    assert "leave graph.cutoff out" in message
    reach = {"cutoff": model.get("cutoff", 5.0)}
    load_config(base=base, options={"graph": reach})
    load_config(base=base, options={"graph": {"strategy": "none"}})


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (
            {"model": {"kind": "megnet"}, "graph": {"cutoff": 6}},
            "graph.cutoff 6 is above model.basis_stop 5",
        ),
        (
            {"model": {"kind": "cgcnn", "basis_stop": 6}},
            "graph.cutoff 8 is above model.basis_stop 6",
        ),
        (
            {"model": {"kind": "alignn"}, "graph": {"symmetric": False}},
            "graph.symmetric is false, but model.kind alignn",
        ),
    ],
)
def test_settings_that_hardly_fit_together_bring_a_warning(caplog, content, keys):
    load_config(base=content)
    (line,) = caplog.messages
    assert keys in line


def test_defaults_of_networks_bring_no_warning(caplog):
    for kind in NETWORKS:
        load_config(base={"model": {"kind": kind}})
    load_config(base={"model": {"kind": "alignn"}, "graph": {"strategy": "knn_alignn"}})
    assert not caplog.messages


def test_settings_of_another_network_are_refused():
    with pytest.raises(ValidationError, match="atom_width"):
        PipelineConfig.model_validate({"model": {"kind": "alignn", "atom_width": 8}})
    with pytest.raises(ValidationError, match="kind"):
        PipelineConfig.model_validate({"model": {"kind": "gpt"}})
