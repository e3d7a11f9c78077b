"""A group with labels of its own and a folder of candidate files, some of them bad.

They ingest the labels, train, and screen the folder; whatever becomes of a file, it is in
the account, the same on the command line, in the tables and on the page.
"""

import gzip
import json
import re
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import read_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core import worlds
from tests.core.random_crystals import with_lonely_atom
from tests.deployments.test_wired_commands import crystalgnn, rows

pytestmark = [
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_api"),
]

BASE = Structure(Lattice.cubic(4.2), ["Mg", "O"], [[0.0, 0, 0], [0.5, 0.5, 0.5]])
CIF = BASE.to(fmt="cif")
MIXED = Structure(Lattice.cubic(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
CLOSE = Structure(Lattice.cubic(4), ["Cu", "Cu"], [[0.0, 0, 0], [0.02, 0, 0]])
LONELY = structure_from_crystal(with_lonely_atom(12))
UNSEEN = Structure(Lattice.cubic(4), ["Pu"], [[0, 0, 0]])
KNOWN = SyntheticSource(n_structures=1).crystal(0)  # one of the labelled crystals
JARVIS = {
    "jid": "twice",
    "atoms": {
        "lattice_mat": KNOWN.lattice.tolist(),
        "coords": KNOWN.frac_coords.tolist(),
        "elements": structure_from_crystal(KNOWN).labels,
        "cartesian": False,
    },
}
# suffix, content and reject reason of files that cannot be screened
BAD: dict[str, tuple[str, str | bytes, str]] = {
    "cut": (".cif", CIF[: len(CIF) // 2], "unreadable_structure"),
    "empty": (".cif", "", "unreadable_structure"),
    "binary": (".cif", bytes(range(256)) * 40, "unreadable_structure"),
    "web": (".cif", "<html><body>404 Not Found</body></html>", "unreadable_structure"),
    "archive": (".json.gz", gzip.compress(b"{}" * 99)[:-9], "unreadable_structure"),
    "other": (".txt", CIF, "unsupported_file"),
    "mixed": (".cif", MIXED.to(fmt="cif"), "disordered_site"),
    "close": (".cif", CLOSE.to(fmt="cif"), "overlapping_atoms"),
    "element": (".vasp", BASE.to(fmt="poscar").replace("Mg", "Qq"), "unknown_element"),
    "id": (".json", json.dumps(JARVIS), "duplicate_id"),
    "lonely": (".cif", LONELY.to(fmt="cif"), "isolated_atom"),
    "unseen": (".cif", UNSEEN.to(fmt="cif"), "unseen_element"),
}


def write_labels(path, n):
    """Write structures with two labels each as a table, as people keep them."""
    source = SyntheticSource(n_structures=n)
    records = list(read_source(source))
    structures = [structure_from_crystal(source.crystal(index)) for index in range(n)]
    table = {
        "id": [record.material_id for record in records],
        "cif": [structure.to(fmt="cif") for structure in structures],
        "e_form": [record.labels["formation_energy_per_atom"] for record in records],
        "gap": [record.labels["band_gap"] for record in records],
    }
    pd.DataFrame(table).to_csv(path, index=False)


def write_candidates(folder, n, n_bad):
    """Write n files, some of them bad in turn; return the ids of these with the reasons."""
    folder.mkdir()
    (folder / "first.json").write_text(json.dumps(JARVIS))
    expected = []
    for index, (name, bad) in enumerate(islice(cycle(BAD.items()), n_bad)):
        suffix, content, reason = bad
        file = f"{name}-{index}"
        data = content.encode() if isinstance(content, str) else content
        (folder / "batch").mkdir(exist_ok=True)
        (folder / "batch" / f"{file}{suffix}").write_bytes(data)
        ids = {"id": "twice", "other": f"batch/{file}.txt"}
        expected.append((ids.get(name, f"batch/{file}"), reason))
    source = SyntheticSource(n_structures=n, seed=1, prefix="c")
    for index in range(n - n_bad - 1):
        structure = structure_from_crystal(source.crystal(index))
        (folder / f"c-{index:05d}.cif").write_text(structure.to(fmt="cif"))
    return sorted(expected)


def account_of(text):
    """Return what stands in `n candidates = scored + rejected + duplicates`."""
    pattern = r"([\d,]+) candidates = ([\d,]+) scored \+ ([\d,]+) rejected \+ ([\d,]+) dup"
    [found] = re.findall(pattern, text)
    return tuple(int(number.replace(",", "")) for number in found)


def account_on_page(page):
    found = re.search(r'class="accounting">(.*?)</p>', page)
    assert found is not None
    return tuple(int(n.replace(",", "")) for n in re.findall(r"<b>([\d,]+)</b>", found[1]))


def learn_by_commands(labels, store):
    """Ingest the labels and train as users do; return the bundle of the model."""
    source = ("--source", "files", "--path", labels, "--name", "ours")
    targets = (
        *("--target", "formation_energy_per_atom=e_form@our PBE"),
        *("--target", "band_gap=gap@our PBE"),
    )
    crystalgnn("ingest", *source, *targets, "--store", store)
    settings = ("training.sources=[ours]", "training.epochs=2", "training.device=cpu")
    options = [word for setting in settings for word in ("--set", setting)]
    trained = crystalgnn("train", *options, "--store", store).stdout
    [bundle] = re.findall(r"^bundle +(.+)$", trained, re.M)
    return bundle


def learn_in_this_process(labels, store):
    """Do the same by core, which is quicker."""
    columns = {"formation_energy_per_atom": "e_form", "band_gap": "gap"}
    targets = {
        name: {"column": column, "label_scheme": "our PBE"}
        for name, column in columns.items()
    }
    source = {"name": "ours", "path": str(labels), "targets": targets}
    worlds.ingest(store, FilesSource.model_validate(source))
    worlds.build_graphs(store)
    return worlds.train(store, sources=("ours",)).folder


@pytest.mark.parametrize(
    ("n_labels", "n_files", "n_bad", "learn"),
    [
        (40, 60, len(BAD), learn_in_this_process),
        pytest.param(800, 3000, 48, learn_by_commands, marks=pytest.mark.slow),
    ],
)
def test_every_candidate_file_is_in_the_account_and_every_bad_one_is_named(
    tmp_path, n_labels, n_files, n_bad, learn
):
    write_labels(tmp_path / "labels.csv", n_labels)
    expected = write_candidates(tmp_path / "candidates", n_files, n_bad)
    bundle = learn(tmp_path / "labels.csv", tmp_path / "store")
    options = ("--model", bundle, "--store", tmp_path / "store")
    done = crystalgnn("screen", tmp_path / "candidates", *options)
    assert "predict:" in done.stderr  # the stages are told while they run
    assert "Traceback" not in done.stderr
    printed = done.stdout

    account = account_of(printed)
    assert account[0] == n_files == sum(account[1:])
    [manifest] = (tmp_path / "store").glob("screens/candidates-*/screen.json")
    result, folder = json.loads(manifest.read_text()), manifest.parent
    counts = (sum(result["rejected"].values()), result["n_duplicates"])
    assert (result["n_in"], result["n_scored"], *counts) == account
    state = json.loads((folder / "report.json").read_text())
    page = Path(state["page"]["path"]).read_text()
    assert account_on_page(page) == account

    ranking = pd.read_parquet(folder / "ranking.parquet")
    rejects = pd.read_parquet(folder / "rejects.parquet")
    outcomes = pd.read_parquet(folder / "candidates.parquet")["outcome"].value_counts()
    assert (n_files, len(ranking), len(rejects), outcomes.get("duplicate", 0)) == account
    assert len(pd.read_csv(folder / "ranking.csv")) == account[1]
    assert outcomes["rejected"] == len(rejects)

    named = list(zip(rejects["material_id"], rejects["reason"], strict=True))
    # a random candidate may hold an element that few labels do not
    assert sorted(pair for pair in named if pair[0][:2] != "c-") == expected
    assert {reason for name, reason in named if name[:2] == "c-"} <= {"unseen_element"}
    shown = {
        (stage, reason): int(n)
        for first in ("listing", "ingest", "screen")
        for stage, reason, n in rows(printed, first)
    }
    assert shown == Counter(zip(rejects["stage"], rejects["reason"], strict=True))
    assert len(rejects) > 100 or all(f"<code>{name}</code>" in page for name, _ in named)
    if learn is learn_by_commands:
        again = crystalgnn("screen", tmp_path / "candidates", *options).stdout
        assert "nothing changed" in again
        assert account_of(again) == account
