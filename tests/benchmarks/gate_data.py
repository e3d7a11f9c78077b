"""Real labels of seven sets, as rows of a record table, for `change_gate`."""

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.sources.ingest.run import read_source
from crystalgnn_core.targets import scheme_column
from tests.core.records.made_rows import read_formula, with_columns
from tests.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ROWS = 6000
ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def read_sets(seed: int) -> dict[str, pa.Table]:
    """Read the data sets; larger ones are cut to `MAX_ROWS` rows drawn by the seed."""
    readers: dict[str, Callable[[], pa.Table]] = {
        "MP-20": _mp20,
        "Perov-5": _perovskites,
        "WBM": _wbm,
        "AFLOW": _aflow,
        "JARVIS": _jarvis,
        "MP summary": _summaries,
        "synthetic": lambda: _synthetic(seed),
    }
    rng = np.random.default_rng(seed)
    return {
        name: table.take(rng.permutation(len(table))[:MAX_ROWS])
        for name, table in ((name, read()) for name, read in readers.items())
    }


def _mp20() -> pa.Table:
    frame = pd.read_parquet(DATA / "mp20.parquet")
    names = (ENERGY, GAP, "energy_above_hull")
    labels = {name: frame[name].to_numpy() for name in names}
    return _from_cif(frame["cif"], labels | {"is_metal": 1.0 * (labels[GAP] == 0.0)})


def _perovskites() -> pa.Table:
    frame = pd.read_parquet(DATA / "perov5_val.parquet")
    labels = {ENERGY: frame["heat_all"].to_numpy(), GAP: frame["ind_gap"].to_numpy()}
    return _from_cif(frame["cif"], labels)


def _wbm() -> pa.Table:
    frame = pd.read_parquet(DATA / "wbm_candidates.parquet")
    return _from_cif(frame["cif"], {name: frame[name].to_numpy() for name in (ENERGY, GAP)})


def _aflow() -> pa.Table:
    frame = pd.read_parquet(DATA / "aflow_elastic.parquet")
    bulk, shear = frame["bulk_modulus"].to_numpy(), frame["shear_modulus"].to_numpy()
    poisson = (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))
    labels = {"bulk_modulus": bulk, "shear_modulus": shear, "poisson_ratio": poisson}
    return _from_cif(frame["cif"], labels)


def _jarvis() -> pa.Table:
    records = json.loads(
        gzip.decompress((DATA / "jarvis_dft3d_subset.json.gz").read_bytes())
    )
    keys = {
        ENERGY: "formation_energy_peratom",
        GAP: "optb88vdw_bandgap",
        "bulk_modulus": "bulk_modulus_kv",
    }
    labels = {
        name: _numbers(record[key] for record in records) for name, key in keys.items()
    }
    moduli = labels["bulk_modulus"]
    labels["bulk_modulus"] = np.where(moduli < 0.1, np.nan, moduli)
    return _rows([record["atoms"]["elements"] for record in records], labels)


def _summaries() -> pa.Table:
    documents = json.loads((DATA / "mp_summary_docs.json").read_text(encoding="utf-8"))
    keys = {ENERGY: ENERGY, GAP: GAP, "fermi_energy": "efermi"}
    labels = {
        name: _numbers(entry[key] for entry in documents) for name, key in keys.items()
    }
    elements = [
        [site["species"][0]["element"] for site in entry["structure"]["sites"]]
        for entry in documents
    ]
    return _rows(elements, labels)


def _synthetic(seed: int) -> pa.Table:
    from crystalgnn_core.records.elements import SYMBOLS
    from crystalgnn_core.sources.synthetic.source import SyntheticSource

    source = SyntheticSource(n_structures=1500, seed=seed + 1)
    given = list(read_source(source))
    elements = [
        [SYMBOLS[number - 1] for number in raw.crystal.atomic_numbers]
        for raw in given
        if raw.crystal is not None
    ]
    labels = {
        name: _numbers(raw.labels.get(name) for raw in given) for name in (ENERGY, GAP)
    }
    return _rows(elements, labels)


def _numbers(values: Any) -> np.ndarray:
    return np.array(
        [v if isinstance(v, int | float) else np.nan for v in values], dtype=float
    )


def _from_cif(texts: Any, labels: dict[str, np.ndarray]) -> pa.Table:
    return _rows([read_formula(text)[1] for text in texts], labels)


def _rows(elements: list[list[str]], labels: dict[str, np.ndarray]) -> pa.Table:
    n = len(elements)
    columns: dict[str, Any] = {}
    for name, values in labels.items():
        is_known = np.isfinite(np.asarray(values, dtype=float))
        columns[name] = [
            float(v) if ok else None for v, ok in zip(values, is_known, strict=True)
        ]
        columns[scheme_column(name)] = ["PBE" if ok else None for ok in is_known]
    return with_columns(
        None,
        source=["s"] * n,
        material_id=[f"m-{index}" for index in range(n)],
        formula=["".join(sorted(names)) for names in elements],
        chemsys=["-".join(sorted(set(names))) for names in elements],
        n_sites=[len(names) for names in elements],
        license=["CC-BY-4.0"] * n,
        source_version=["1"] * n,
        structure_digest=[f"d-{index}" for index in range(n)],
        atomic_numbers=[[NUMBER_OF_SYMBOL[e.strip()] for e in names] for names in elements],
        **columns,
    )
