"""Every code block of the page on operation, in its order, on a real Prefect server.

The archive of JARVIS lies in the cache, so nothing is downloaded. Capitals stand for what a
reader looks up, and the port for a free one; everything else is run as it is written.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack
from itertools import product

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.sources.jarvis.releases import DEFAULT_RELEASE, RELEASES
from tests.docs.pages import DOCS, ROOT, blocks_of, write_named_files
from tests.processes import MARKER, wait_until_gone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]
PAGE = DOCS / "guides" / "schedules.md"
KEPT_RUNNING = ("prefect server start", "crystalgnn serve")
METALS = ("Li", "Na", "K", "Rb", "Cs", "Ag", "Cu", "Au", "Tl", "In")
OTHERS = ("F", "Cl", "Br", "I", "H", "O", "S", "Se", "Te", "N", "P", "As")


def write_archive(path, n, *, shift=0.0):
    """Write a release of JARVIS with crystals of the CsCl type and made-up labels."""
    records = []
    for number, (metal, other) in enumerate(list(product(METALS, OTHERS))[:n]):
        lattice = 3.0 + 0.01 * number
        atoms = {
            "lattice_mat": [[lattice, 0, 0], [0, lattice, 0], [0, 0, lattice]],
            "coords": [[0, 0, 0], [0.5, 0.5, 0.5]],
            "elements": [metal, other],
            "cartesian": False,
        }
        gap = 0.05 * (number % 80)
        labels = {"formation_energy_peratom": shift - gap / 2, "optb88vdw_bandgap": gap}
        jid = {"jid": f"JVASP-{number}", "func": "OptB88vdW"}
        records.append(jid | {"atoms": atoms, "ehull": 0.1} | labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.origin.json").unlink(
        missing_ok=True
    )  # the change is meant
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(RELEASES[DEFAULT_RELEASE].member, json.dumps(records))


class Terminal:
    """Runs the lines of blocks in a folder; the last server and `serve` stay."""

    def __init__(self, folder, held):
        self.folder, self.held = folder, held
        self.running = []
        held.callback(self.stop_all)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = str(listener.getsockname()[1])
        tools = folder / "bin"
        tools.mkdir()
        for name, module in (("crystalgnn", "deployments.cli"), ("prefect", "prefect")):
            script = f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n'
            (tools / name).write_text(script)
            (tools / name).chmod(0o755)
        silent = ("PREFECT_API_URL", "PREFECT_LOGGING_LEVEL")
        kept = {k: v for k, v in os.environ.items() if k not in silent}
        self.environment = kept | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "CRYSTALGNN_CACHE": str(folder / "cache"),
            "COLUMNS": "200",
            MARKER: str(folder),
        }

    @property
    def api(self):
        return self.environment.get("PREFECT_API_URL")

    def run(self, line):
        """Run a line of a block, and wait for its end or until it serves."""
        line = self.filled_in(line)
        if match := re.fullmatch(r"export (\w+)=(\S+).*", line):
            self.environment[match.group(1)] = match.group(2)
        elif line.startswith(KEPT_RUNNING):
            self._keep(line)
        else:
            done = subprocess.run(
                ["bash", "-c", line], check=False, capture_output=True, **self._options()
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            return done.stdout
        return ""

    def filled_in(self, text):
        """Write what a reader looks up in place of the capitals."""
        text = text.replace("4321", self.port)
        if "MODEL_ID" in text:
            store = self.folder / "crystalgnn-store"
            models = {card.parent.name for card in store.glob("models/*/card.json")}
            [other] = models - {Registry(store).resolve("champion").name}
            text = text.replace("MODEL_ID", other)
        if "DEPLOYMENT_ID" in text:
            listed = self.run("prefect deployment ls")
            [found] = re.findall(r"retrain/.*([0-9a-f]{8}-[0-9a-f-]{27})", listed)
            text = text.replace("DEPLOYMENT_ID", found)
        if "RUN_ID" in text:
            [run, *_] = self.ask("read_flow_runs")
            text = text.replace("RUN_ID", str(run.id))
        return text

    def ask(self, method, **options):
        """Call a method of Prefect's client on the server of the page."""
        with (
            temporary_settings({PREFECT_API_URL: self.api}),
            get_client(sync_client=True) as client,
        ):
            return getattr(client, method)(**options)

    def stop_all(self):
        """Stop what runs as a person at the keyboard does, the last one first."""
        while self.running:
            process = self.running.pop()
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=90)
            finally:
                process.kill()  # nothing to do once it has ended

    def _keep(self, line):
        log = self.folder / f"{len(list(self.folder.glob('*.out')))}.out"
        stream = self.held.enter_context(log.open("wb"))
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"], stdout=stream, stderr=stream, **self._options()
        )
        self.running.append(process)
        deadline = time.monotonic() + 300
        while not self._serves(line, log):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)

    def _serves(self, line, log):
        if "serve " in line:
            return "logs     " in log.read_text()
        try:
            return httpx.get(f"{self.api}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _options(self):
        return {"cwd": self.folder, "env": self.environment, "text": True}


@pytest.fixture
def terminal(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as held:
        yield Terminal(tmp_path, held)
    signal.signal(signal.SIGINT, before)
    assert wait_until_gone(str(tmp_path), 30) == []


def wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(1)
    return found


def runs_of_automation(terminal):
    runs = terminal.ask("read_flow_runs")
    return [
        r for r in runs if r.created_by is not None and r.created_by.type == "AUTOMATION"
    ]


def test_every_block_runs_and_the_automation_retrains(terminal):
    archive = terminal.folder / "cache" / "downloads" / "jarvis"
    archive /= f"{RELEASES[DEFAULT_RELEASE].member}.zip"
    write_archive(archive, 90)
    write_named_files(PAGE, terminal.folder)
    terminal.run("crystalgnn retrain --config screening.yaml")  # the first champion
    terminal.run("crystalgnn train --config screening.yaml --set training.seed=1")
    write_archive(archive, 90, shift=-3.0)  # suspicious, until it is accepted
    terminal.run("crystalgnn ingest --config screening.yaml")
    for block in blocks_of(PAGE):
        for line in block.code.strip().splitlines() if block.language == "bash" else ():
            if line.startswith(KEPT_RUNNING[0]):
                terminal.stop_all()
            automation = terminal.folder / "automation.yaml"
            if automation.name in line:
                automation.write_text(terminal.filled_in(automation.read_text()))
            terminal.run(line)
    page = httpx.get(f"http://127.0.0.1:{terminal.port}/ui-settings").json()
    assert page["api_url"] == terminal.api
    [automation] = terminal.ask("read_automations")
    assert automation.enabled
    assert not runs_of_automation(terminal)
    write_archive(archive, 120, shift=-3.0)
    terminal.run("crystalgnn ingest --config screening.yaml")
    [run] = wait_for(
        lambda: [r for r in runs_of_automation(terminal) if r.state.is_final()]
    )
    assert run.state.is_completed(), run.state
    assert terminal.ask("read_deployment", deployment_id=run.deployment_id).name.startswith(
        "retrain-"
    )
    log = terminal.run(f"prefect flow-run logs {run.id}")
    assert "train: cgcnn-" in log
