"""Published models by name: downloaded once, checked, converted, or a clear refusal."""

import hashlib
import json

import numpy as np
import pytest
import torch
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import DownloadError, ModelError, TransientError
from crystalgnn_core.learning import pretrained as module
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.pretrained import (
    download_folder,
    fetch_published,
    is_in_cache,
)
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.models.cgcnn.published import read_cgcnn
from crystalgnn_core.models.published import catalogue as catalogue_module
from crystalgnn_core.models.published.catalogue import catalogue, get_published
from crystalgnn_core.models.published.entries import ENTRIES
from crystalgnn_core.models.published.entry import PublishedEntry
from crystalgnn_core.remote.downloads import RemoteFile, RetryPolicy
from crystalgnn_core.screening.prediction import predict
from crystalgnn_core.targets import TARGETS
from tests.core.learning.test_converted_classes import (
    reference_probability,
    write_checkpoint,
)
from tests.core.models.alignn.test_published import write_archive
from tests.core.web import running_site, send
from tests.paths import WEIGHTS
from tests.published import put_in_cache

QUICK = RetryPolicy(connect_seconds=2, read_seconds=2, n_tries=2, first_pause=0.01)
SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
# names, targets and units that users rely on, whatever targets come later
OFFERED = {
    "cgcnn-mp2018-formation-energy": "formation_energy_per_atom",
    "cgcnn-mp2018-band-gap": "band_gap",
    "cgcnn-mp2018-bulk-modulus": "bulk_modulus",
    "cgcnn-mp2018-shear-modulus": "shear_modulus",
    "cgcnn-mp2018-fermi-energy": "fermi_energy",
    "cgcnn-mp2018-poisson-ratio": "poisson_ratio",
    "cgcnn-mp2018-is-metal": "is_metal",
    "megnet-mp2018-formation-energy": "formation_energy_per_atom",
    "megnet-mp2018-band-gap": "band_gap",
    "megnet-mp2018-bulk-modulus": "bulk_modulus",
    "megnet-mp2018-shear-modulus": "shear_modulus",
    "megnet-mp2018-is-metal": "is_metal",
    "jv_formation_energy_peratom_alignn": "formation_energy_per_atom",
    "jv_optb88vdw_bandgap_alignn": "band_gap",
    "jv_mbj_bandgap_alignn": "band_gap",
    "jv_bulk_modulus_kv_alignn": "bulk_modulus",
    "jv_shear_modulus_gv_alignn": "shear_modulus",
    "mp_e_form_alignn": "formation_energy_per_atom",
    "mp_gappbe_alignn": "band_gap",
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def site():
    with running_site() as running:
        yield running


def test_the_catalogue_offers_what_it_promises():
    offered = {name: entry.target for name, entry in catalogue().items()}
    assert OFFERED.items() <= offered.items()
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    files = [(e.network, file.name, file.url) for e in ENTRIES for file in e.files]
    assert len(set(files)) == len(files)
    assert all(entry.files[0].url.startswith("https://") for entry in ENTRIES)


def test_an_entry_is_offered_when_its_target_is_known(monkeypatch):
    wanted = [entry for entry in ENTRIES if entry.target == "band_gap"]
    monkeypatch.setattr(catalogue_module, "TARGETS", {"band_gap": TARGETS["band_gap"]})
    assert list(catalogue().values()) == wanted
    with pytest.raises(ModelError, match="no published model 'mp_e_form_alignn'"):
        get_published("mp_e_form_alignn")


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.is_verified], ids=lambda e: e.name
)
def test_pinned_digests_are_those_of_the_files(entry):
    for file in entry.files:
        path = WEIGHTS / entry.network / file.name
        if not path.is_file():
            pytest.skip(f"published weights are not at hand: {path.name}")
        content = path.read_bytes()
        assert len(content) == file.n_bytes
        assert hashlib.sha256(content).hexdigest() == file.sha256


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("cgcnn-mp2018-band-gap", 4.7810, 4.7811),  # by the code of the authors
        ("megnet-mp2018-formation-energy", -2.2, -1.8),  # experiment: -2.13 eV/atom
    ],
)
def test_files_placed_by_hand_are_used_without_a_network(tmp_path, name, low, high):
    entry = put_in_cache(name)
    assert is_in_cache(entry)
    bundle = Registry(tmp_path / "store").resolve(name)
    card = read_card(bundle)
    assert card.model_id == name
    assert card.data.licenses == (f"{entry.license}; {entry.citation}; {entry.source}",)
    assert card.label_schemes == {entry.target: "MP legacy"}
    assert card.remarks[0].startswith("published error 0.")
    cell = SALT.get_primitive_structure()
    [value] = predict([cell], name, store=tmp_path / "store")[entry.target]
    assert low < value < high
    assert fetch_published(name) == bundle


def test_a_wrong_file_placed_by_hand_is_refused():
    entry = put_in_cache("cgcnn-mp2018-band-gap")
    path = download_folder(entry) / entry.files[0].name
    path.write_bytes(b"x" * 791173)
    with pytest.raises(DownloadError, match=r"SHA-256 .*remove it, or put the file of"):
        fetch_published(entry.name)


def test_a_classifier_by_name_predicts_probabilities(tmp_path):
    entry = get_published("cgcnn-mp2018-is-metal")
    folder = download_folder(entry)
    folder.mkdir(parents=True)
    # a number of numpy, as in every classifier of the authors' code
    path = folder / entry.files[0].name
    state = write_checkpoint(path, best_mae_error=np.float64(0.93))
    card = read_card(Registry(tmp_path / "store").resolve(entry.name))
    assert (card.model_id, card.scaler.targets) == (entry.name, ("is_metal",))
    assert card.label_schemes == {"is_metal": "MP legacy"}
    assert card.remarks == ("conversion not checked on the real file",)
    cell = SALT.get_primitive_structure()
    [value] = predict([cell], entry.name, store=tmp_path / "store")["is_metal"]
    assert 0 < value < 1
    expected = reference_probability(state, cell, card.graph)
    assert value == pytest.approx(expected, abs=1e-5)  # float32


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": [7]},
        {"best_mae_error": "low"},
        {"best_mae_error": torch.zeros(2)},
        {"args": {"val_size": "many"}},
        {"args": {"val_size": float("inf")}},
        {"args": {"data_options": []}},
    ],
    ids=str,
)
def test_odd_values_beside_the_weights_do_not_refuse_them(tmp_path, changes):
    path = tmp_path / "semi-metal-classification.pth.tar"
    write_checkpoint(path, **changes)
    found = read_cgcnn(path)
    assert found.target == "is_metal"
    assert "val" not in found.n_rows or "val_size" not in changes.get("args", {})


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"mean": torch.zeros(2), "std": 1.0}},
        {"state_dict": {"embedding.weight": "none"}},
    ],
    ids=str,
)
def test_odd_weights_of_a_checkpoint_are_refused(tmp_path, changes):
    path = tmp_path / "semi-metal-classification.pth.tar"
    write_checkpoint(path, **changes)
    with pytest.raises(ModelError, match="no checkpoint of the CGCNN code"):
        read_cgcnn(path)


@pytest.fixture
def offer(monkeypatch, site, tmp_path):
    """Offer an ALIGNN archive on the local server; return its entry."""

    def call(**changes: object) -> PublishedEntry:
        content = write_archive(tmp_path / "served.zip").read_bytes()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        stated: dict[str, object] = {
            "id": 7,
            "name": "x.zip",
            "size": len(content),
            "computed_md5": md5,
        }
        stated |= {"download_url": f"{site.url}/file"} | changes
        site.serve("/file", content)
        body = json.dumps([stated]).encode()
        site.answers["/articles/17/files"] = lambda request: send(request, 200, body)
        versions = b'[{"version": 1}]'
        site.answers["/articles/17/versions"] = lambda request: send(request, 200, versions)
        entry = get_published("jv_formation_energy_peratom_alignn").model_copy(
            update={
                "figshare": (17, 7),
                "files": (RemoteFile(url=f"{site.url}/file", name="x.zip"),),
            }
        )
        monkeypatch.setattr(module, "get_published", lambda _: entry)
        return entry

    return call


def test_an_archive_is_downloaded_once_and_converted(offer, site):
    entry = offer()
    assert not is_in_cache(entry)
    bundle = fetch_published(entry.name, policy=QUICK, api=site.url)
    assert is_in_cache(entry)
    card = read_card(bundle)
    assert card.model_id == "jv_formation_energy_peratom_alignn"
    assert card.label_schemes == {entry.target: "JARVIS OptB88vdW"}
    assert card.data.licenses[0].startswith("licence not stated; Choudhary & DeCost")
    assert card.remarks == (
        "not checked against a real archive",
        "published error 0.033 eV/atom (test rows, README)",
    )
    asked = len(site.asked)
    assert asked == 2
    assert fetch_published(entry.name, policy=QUICK, api=site.url) == bundle
    assert len(site.asked) == asked
    table = predict([SALT], bundle)
    assert table["status"].tolist() == ["ok"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"computed_md5": "0" * 32}, "MD5 .*not 0000"),
        ({"size": 5}, "bytes .*not 5"),
        ({"id": 8}, "no file 7 in its 1 versions; the newest holds 1 others"),
    ],
)
def test_what_figshare_states_is_compared(offer, site, changes, words):
    entry = offer(**changes)
    with pytest.raises(DownloadError, match=words):
        fetch_published(entry.name, policy=QUICK, api=site.url)
    assert not is_in_cache(entry)


def test_without_a_network_one_line_says_what_to_do(offer, site, cache):
    entry = offer()
    site.answers["/file"] = lambda request: send(request, 503)
    by_other_means = r"/file: .*503.*2 tries.*download that file manually as .*x\.zip"
    with pytest.raises(TransientError, match=by_other_means) as caught:
        fetch_published(entry.name, policy=QUICK, api=site.url)
    assert "\n" not in str(caught.value)
    assert str(cache / "downloads" / "alignn" / "x.zip") in str(caught.value)
    site.answers["/articles/17/files"] = lambda request: send(request, 503)
    with pytest.raises(
        TransientError, match=r"articles/17.*download .*/file manually as .*x\.zip"
    ):
        fetch_published(entry.name, policy=QUICK, api=site.url)


def test_an_archive_is_a_model_reference(tmp_path):
    path = write_archive(tmp_path / "jv_formation_energy_peratom_alignn.zip")
    bundle = Registry(tmp_path / "store").resolve(str(path))
    card = read_card(bundle)
    assert card.model_id == "alignn-jv_formation_energy_peratom_alignn"
    assert card.remarks == ("not checked against a real archive",)
    assert predict([SALT], path)["status"].tolist() == ["ok"]


def test_store_models_come_before_published_ones(trained, tmp_path):
    name = "cgcnn-mp2018-band-gap"
    own = tmp_path / "models" / name
    own.mkdir(parents=True)
    (own / "card.json").write_text(trained.card.model_dump_json())
    assert Registry(tmp_path).resolve(name) == own


def test_an_unknown_reference_is_told_of_the_list(tmp_path):
    with pytest.raises(ModelError, match="`crystalgnn models pretrained` lists them"):
        Registry(tmp_path).resolve("cgcnn-mp2018-nothing")
