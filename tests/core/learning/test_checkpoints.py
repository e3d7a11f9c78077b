import json

import pytest
import torch

from crystalgnn_core.errors import IntegrityError, ModelError
from crystalgnn_core.learning import checkpoints
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle, write_bundle
from crystalgnn_core.storage.files import write_text
from tests.core.worlds import MODEL


@pytest.fixture
def bundle(trained, tmp_path):
    folder = tmp_path / "bundle"
    torch.manual_seed(1)
    write_bundle(folder, MODEL.build(2), trained.card)
    return folder


def rewrite(bundle, **changes):
    card = json.loads((bundle / "card.json").read_text())
    write_text(bundle / "card.json", json.dumps(card | changes))


def test_weights_and_card_come_back_as_they_were(bundle, trained):
    torch.manual_seed(1)
    expected = MODEL.build(2).state_dict()
    network, card = load_bundle(bundle)
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name])
    # these weights come without the rows that they learned from
    same = {"weights_sha256": "", "novelty_rows": 0}
    assert card.model_copy(update=same) == trained.card.model_copy(update=same)


@pytest.mark.parametrize("is_lost", [True, False])
def test_damaged_weights_are_refused(bundle, is_lost):
    weights = bundle / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if not is_lost:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        load_bundle(bundle)


def test_a_card_of_another_format_is_refused(bundle):
    rewrite(bundle, format=99)
    with pytest.raises(ModelError, match="card format 99, this version reads 1"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ({"atom_width": 10**9}, "model.atom_width: must be at most 65536"),
        ({"n_convolutions": 10**9}, "model.n_convolutions: must be at most 1000"),
        ({"n_passes": 10**9}, "model.n_passes: must be at most 1000"),
        ({"basis_step": 1e-9}, "basis_step 1e-09 makes 8000000001 Gaussians"),
        ({"basis_stop": float("inf")}, "model.basis_stop: .*finite number"),
        ({"atom_width": "many"}, "model.atom_width"),
        # 65536 x 65536 numbers of 4 bytes are 16 GiB, which are not asked for
        ({"hidden_width": 65536, "n_hidden": 2}, "has the shape .* the network"),
    ],
)
def test_a_card_that_asks_for_more_than_its_weights_takes_no_memory(bundle, size, words):
    model = json.loads((bundle / "card.json").read_text())["model"]
    rewrite(bundle, model=model | size)
    with pytest.raises(ModelError, match=words) as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_in_a_card_is_refused_by_name(bundle):
    rewrite(bundle, flavour="sweet")
    with pytest.raises(ModelError, match="flavour"):
        read_card(bundle)


@pytest.mark.parametrize("text", ["[]", "{", "null"])
def test_a_card_that_is_none_is_refused(bundle, text):
    (bundle / "card.json").write_text(text)
    with pytest.raises(ModelError):
        read_card(bundle)


def test_a_folder_without_a_card_is_no_bundle(tmp_path):
    with pytest.raises(ModelError, match="is no model bundle"):
        load_bundle(tmp_path)


def test_weights_of_another_network_are_refused(bundle):
    card = json.loads((bundle / "card.json").read_text())
    rewrite(bundle, model=card["model"] | {"atom_width": 9})
    with pytest.raises(ModelError, match="weights do not fit the card"):
        load_bundle(bundle)


def test_a_crash_before_the_card_leaves_no_bundle(trained, tmp_path, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write_text", die)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "new", MODEL.build(2), trained.card)
    with pytest.raises(ModelError):
        load_bundle(tmp_path / "new")


def test_a_moved_bundle_is_the_same_bundle(bundle, tmp_path):
    moved = bundle.rename(tmp_path / "elsewhere")
    assert load_bundle(moved)[1].format == 1


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(ModelError, match="device: auto"):
        choose_device("cuda")
