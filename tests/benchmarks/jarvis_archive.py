"""A JARVIS-DFT archive of 75,000 records: from a server to the record table.

The records are the shared real ones with the keys of a complete record; each copy has an
id of its own and a cell strained a little, which keeps it from shrinking quite as repeated
text does. A server on this machine states size and MD5 as Figshare does, and the archive is
ingested twice: by core alone in one process, and by the command line with its flow, where
memory is that of all processes together. Both count imports, and the download:

    python -m tests.benchmarks.jarvis_archive [N]     (default 75000)
"""

import gzip
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.jarvis.releases import ARTICLE, RELEASES
from crystalgnn_core.sources.jarvis.source import JarvisSource
from deployments.tables import show_line, show_rows
from tests.core.web import running_site, send
from tests.paths import DATA
from tests.processes import MARKER

SUBSET = DATA / "jarvis_dft3d_subset.json.gz"
FULL = DATA / "real_full_record_JVASP-90856.json"
N = 75_000
STRAIN = 1e-3
LIMITS = {"seconds": 90.0, "GB": 1.0}


def write_archive(path: Path, n: int) -> int:
    """Write n records into a zip archive; return the bytes of their JSON."""
    subset = json.loads(gzip.decompress(SUBSET.read_bytes()))
    [whole] = json.loads(FULL.read_text(encoding="utf-8"))
    generator = random.Random(0)
    n_bytes = 2
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("jdft_3d-8-18-2021.json", "w", force_zip64=True) as stream,
    ):
        stream.write(b"[")
        for number in range(n):
            record = whole | subset[number % len(subset)] | {"jid": f"JVASP-{number}"}
            record["atoms"] = strained(record["atoms"], generator)
            text = json.dumps(record).encode()
            n_bytes += stream.write(b", " + text if number else text)
        stream.write(b"]")
    return n_bytes


def strained(atoms: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    """Stretch a cell along its vectors by random factors near one."""
    rows = [
        [value * factor for value in row]
        for row in atoms["lattice_mat"]
        for factor in [1.0 + generator.uniform(-STRAIN, STRAIN)]
    ]
    return atoms | {"lattice_mat": rows}


@contextmanager
def served(path: Path) -> Iterator[str]:
    """Serve an archive as Figshare does; yield the address of its API."""
    content = path.read_bytes()
    with running_site() as site:
        entry = {
            "id": RELEASES["dft_3d_2021"].file,
            "name": path.name,
            "size": len(content),
            "download_url": site.serve("/file", content),
            "computed_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        }
        listing = json.dumps([entry]).encode()
        site.answers[f"/articles/{ARTICLE}/files"] = lambda request: send(
            request, 200, listing
        )
        yield site.url


def measure(api: str, folder: Path) -> dict[str, float]:
    """Ingest by core alone in this process."""
    started = time.perf_counter()
    source = JarvisSource(api=api, downloads=str(folder / "downloads"))
    report = ingest_source(folder / "store", source)
    return {
        "seconds": time.perf_counter() - started,
        "n_in": report.n_in,
        "n_kept": report.n_kept,
        "n_rejected": sum(report.rejected.values()),
        "n_dropped": sum(report.n_dropped.values()),
        "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def run_core(api: str, folder: Path) -> dict[str, float]:
    """Ingest by core in a new process; the time counts its start."""
    command = [sys.executable, "-m", "tests.benchmarks.jarvis_archive", "--measure"]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, api, str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"seconds": time.perf_counter() - started}


def run_command(api: str, folder: Path) -> dict[str, float]:
    """Ingest by the command line; memory is the largest sum over its processes."""
    config = folder / "jarvis.yaml"
    source = {"kind": "jarvis", "api": api, "downloads": str(folder / "downloads")}
    config.write_text(json.dumps({"sources": [source]}), encoding="utf-8")
    command = [sys.executable, "-m", "deployments.cli", "ingest", "--config", str(config)]
    marker = str(folder)
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--store", str(folder / "store")],
        env={**os.environ, MARKER: marker},
        stdout=subprocess.DEVNULL,
    )
    peak = Peak(marker)
    code = process.wait()
    seconds = time.perf_counter() - started
    peak.stop()
    if code:
        raise SystemExit(f"the command ended with {code}")
    report = json.loads((folder / "store" / "ingests" / "jarvis.json").read_text())
    return {
        "seconds": seconds,
        "n_in": report["n_in"],
        "n_kept": report["n_kept"],
        "n_rejected": sum(report["rejected"].values()),
        "n_dropped": sum(report["n_dropped"].values()),
        "GB": peak.shared_once,
        "GB apart": peak.each_whole,
        "processes": peak.n_processes,
    }


class Peak:
    """The largest memory of the processes with a marker, watched by a thread (Linux).

    Attributes:
        shared_once: GB, pages that several processes share divided among them.
        each_whole: GB, resident memory of each process added up.
        n_processes: Most processes at a time.
    """

    def __init__(self, marker: str) -> None:
        self.shared_once, self.each_whole, self.n_processes = 0.0, 0.0, 0
        self._wanted = f"{MARKER}={marker}".encode()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            sizes = [
                size for size in map(self._sizes, Path("/proc").glob("[0-9]*")) if size
            ]
            self.shared_once = max(self.shared_once, sum(size["Pss"] for size in sizes))
            self.each_whole = max(self.each_whole, sum(size["Rss"] for size in sizes))
            self.n_processes = max(self.n_processes, len(sizes))

    def _sizes(self, process: Path) -> dict[str, float]:
        try:
            if self._wanted not in (process / "environ").read_bytes().split(b"\0"):
                return {}
            text = (process / "smaps_rollup").read_text()
        except OSError:  # of another user, or ended
            return {}
        found = re.findall(r"^(Pss|Rss): +(\d+) kB", text, re.MULTILINE)
        return {name: int(number) * 1024 / 1e9 for name, number in found}


def run(n: int) -> None:
    """Measure both ways and print them side by side."""
    if not (SUBSET.is_file() and FULL.is_file()):
        show_line("skipped: the JARVIS records are not in ../shared/data")
        return
    ways = {"core, one process": run_core, "command line": run_command}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        archive = Path(name) / "archive.zip"
        n_bytes = write_archive(archive, n)
        size = f"{archive.stat().st_size / 2**20:.0f} MiB, JSON {n_bytes / 2**20:.0f} MiB"
        with served(archive) as api:
            for way, work in ways.items():
                folder = Path(name) / work.__name__
                folder.mkdir()
                found = work(api, folder)
                counts = [found[key] for key in ("n_in", "n_kept", "n_rejected")]
                if counts != [n, counts[1], n - counts[1]]:
                    raise SystemExit(f"{way}: {n} rows, but {counts} in, kept, rejected")
                apart = found.get("GB apart", found["GB"])
                rows.append(
                    (
                        way,
                        f"{found['seconds']:.1f}",
                        f"{found['GB']:.2f}",
                        f"{apart:.2f}",
                        f"{found.get('processes', 1):.0f}",
                        *(f"{count:,.0f}" for count in (*counts, found["n_dropped"])),
                    )
                )
    columns = (
        "way",
        "seconds",
        "#GB",
        "#GB, each whole",
        "#processes",
        "rows in",
        "rows kept",
        "rows rejected",
        "#labels left out",
    )
    show_rows(f"From server to record table; archive {size}", columns, rows)
    show_line(f"required: {LIMITS['seconds']:g} s and {LIMITS['GB']:g} GB on 2 cores")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))  # noqa: T201
    else:
        run(int(sys.argv[1]) if sys.argv[1:] else N)
