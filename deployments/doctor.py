"""Is this machine fit to run the pipeline, and is a store sound?"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

from crystalgnn_core.errors import InputError, ServerError
from crystalgnn_core.storage.paths import local_path, require_store_name
from deployments.tables import show_rows

CAPS = {"fastapi": "0.151", "sqlalchemy": "2.1", "prefect": "3.9"}
PACKAGES = (
    "torch",
    "torch-geometric",
    "pymatgen",
    "numba",
    "deltalake",
    "pyarrow",
    "mp-api",
)
GIGABYTE = 1e9


class Finding(NamedTuple):
    """One line of the report."""

    what: str
    found: str
    is_fine: bool
    advice: str = ""


def examine(store: Path | None) -> bool:
    """Print all findings; return whether everything is fine."""
    folder = Path() if store is None else local_path(store)
    findings = [*_packages(), _device(), _prefect(), _disk(folder)]
    if store is not None:
        findings += _store(folder)
    rows = [
        (f.what, f.found, "ok" if f.is_fine else f"PROBLEM: {f.advice}") for f in findings
    ]
    show_rows("crystalgnn doctor", ("what", "found", "verdict"), rows)
    return all(finding.is_fine for finding in findings)


def _packages() -> list[Finding]:
    findings = []
    for name in (*PACKAGES, *CAPS):
        try:
            found = version(name)
        except PackageNotFoundError:
            findings.append(
                Finding(name, "missing", is_fine=False, advice="run make install")
            )
            continue
        cap = CAPS.get(name)
        is_fine = cap is None or Version(found) < Version(cap)
        findings.append(Finding(name, found, is_fine, f"install {name}<{cap}"))
    return findings


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("device", torch.cuda.get_device_name(0), is_fine=True)
    return Finding("device", f"CPU, {torch.get_num_threads()} threads", is_fine=True)


def _prefect() -> Finding:
    from prefect.settings import PREFECT_API_URL

    from deployments.server_errors import check_server, check_surroundings, server_address
    from deployments.session import keep_loopback_from_proxies

    keep_loopback_from_proxies()
    try:
        check_surroundings()
        if not PREFECT_API_URL.value():
            return Finding("Prefect API", "started with each command", is_fine=True)
        check_server()
    except ServerError as error:
        return Finding("Prefect API", "not usable", is_fine=False, advice=str(error))
    return Finding("Prefect API", server_address(), is_fine=True)


def _disk(folder: Path) -> Finding:
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(existing).free / GIGABYTE
    return Finding("free disk", f"{free:.0f} GB", free > 1, "free at least 1 GB")


def _store(store: Path) -> list[Finding]:
    from crystalgnn_core.maintenance.integrity import check_store

    try:
        require_store_name(store)
    except InputError as error:
        return [Finding("store", "not usable", is_fine=False, advice=str(error))]
    if not store.is_dir():
        return [Finding("store", "missing", is_fine=False, advice=f"no folder {store}")]
    return [
        Finding(
            part.area,
            f"{part.n_sound:,} {part.unit} sound, {len(part.damages)} damaged",
            not part.damages,
            "; ".join(f"{d.path}: {d.problem}; {d.advice}" for d in part.damages),
        )
        for part in check_store(store)
    ]
