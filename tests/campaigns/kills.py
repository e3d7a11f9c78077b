"""Kill runs at random moments and at chosen files; every chain ends like one left alone.

A chain is pipeline, rescreen after new candidates, and retrain after new labels, on one
store. Each command is killed once or more (its main process, its whole group, a worker
process or the Prefect server that it started) and started again until it is done. Then the
store must equal that of an undisturbed chain, and hold no temporary file.

    python -m tests.campaigns.kills --kills 40 --seed 1 [--keep FOLDER]

Ends with exit code 1 if anything differed. About 50 s a kill on two quiet cores.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.campaigns.outcome import differences, outcome_of, temporary_files
from tests.processes import MARKER, process_ids, wait_until_gone

POLL_SECONDS = 0.002
SURVIVOR_SECONDS = 60.0  # a loaded machine takes its time
COMMAND_SECONDS = 900.0
say = partial(print, flush=True)
TARGETS = ("main", "group", "worker", "server")

SYNTHETIC = {"kind": "synthetic", "part_size": 40}
LABELLED = SYNTHETIC | {"name": "labelled", "n_structures": 160}
CANDIDATES = SYNTHETIC | {"name": "candidates", "n_structures": 90, "batch": 1}
LATER = SYNTHETIC | {"name": "later", "n_structures": 80, "batch": 2}
BASE: dict[str, Any] = {
    "sources": [LABELLED, CANDIDATES],
    "model": {"atom_width": 16, "n_convolutions": 2, "hidden_width": 16},
    "training": {
        "sources": ["labelled"],
        "epochs": 4,
        "batch_size": 32,
        "device": "cpu",
        "split": {"val_fraction": 0.2, "test_fraction": 0.2},
    },
    "screening": {"name": "s", "sources": ["candidates"], "top_k": 40, "device": "cpu"},
    # many small shards: no stage is over before it can be killed
    "execution": {"shard_size": 8, "workers": 2},
    "retraining": {"require_floor": False},  # so short a training is worse than trees
}


class Step(NamedTuple):
    """A command of the chain, with what is new in its configuration."""

    command: str
    changes: dict[str, Any]


MORE = [LABELLED, CANDIDATES | {"n_structures": 130}]
CHAIN = (
    Step("pipeline", {}),
    Step("rescreen", {"sources": MORE}),
    Step(
        "retrain",
        {
            "sources": [*MORE, LATER],
            "training": BASE["training"] | {"sources": ["labelled", "later"]},
        },
    ),
)
# a kill as soon as one of these appears or is replaced
MOMENTS = (
    "staging/*/0*.json",
    "records/_delta_log/*.json",
    "rejects/_delta_log/*.json",
    "ingests/*.json",
    "graphs/*/jobs/*.arrow",
    "graphs/*/*.json",
    "models/*/checkpoints/pointers.json",
    "models/*/test_predictions.parquet",
    "models/*/model.safetensors",
    "models/*/card.json",
    "models/*/decision.json",
    "models/champions.json",
    "predictions/*/*.json",
    "screens/*/ranking.parquet",
    "screens/*/screen.json",
    "screens/latest/*.json",
    "screens/*/report.html",
)


class Kill(NamedTuple):
    """What is killed, and when: at a file that is new, or after some seconds."""

    target: str
    moment: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.target} at {self.moment or f'{self.seconds:.1f} s'}"


class Chain:
    """The commands of a chain on one store, each a process of its own.

    Args:
        folder: Folder of the store, the configurations and the logs.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.store = folder / "store"
        self.environment = os.environ | {MARKER: str(folder)}
        self.environment.pop("PREFECT_API_URL", None)
        self.environment["PREFECT_HOME"] = str(folder / "prefect")

    def start(self, step: Step, *, attempt: int) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command in a process group of its own; return it and its log."""
        name = f"{step.command}-{attempt}"
        config, log = self.folder / f"{step.command}.yaml", self.folder / f"{name}.log"
        settings = BASE | step.changes | {"store": str(self.store)}
        config.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "deployments.cli", step.command, "-v"]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--config", str(config)],
                env=self.environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return process, log

    def finish(self, step: Step, *, attempt: int) -> float:
        """Run a command to its end; return the seconds it took."""
        began = time.monotonic()
        process, log = self.start(step, attempt=attempt)
        code = process.wait(timeout=COMMAND_SECONDS)
        if code:
            raise AssertionError(f"{step.command} ended with {code}:\n{log.read_text()}")
        self.require_no_survivors()
        return time.monotonic() - began

    def interrupt(self, step: Step, kill: Kill, *, attempt: int) -> tuple[str, list[str]]:
        """Start a command and kill; return what became of it, and what was wrong."""
        before = self._stamps(kill.moment)
        began = time.monotonic()
        process, log = self.start(step, attempt=attempt)
        while process.poll() is None:
            is_time = (
                self._stamps(kill.moment) - before
                if kill.moment
                else time.monotonic() - began > kill.seconds
            )
            if is_time and self._kill(process, kill.target):
                break
            time.sleep(POLL_SECONDS)
        else:
            if process.returncode == 0:
                return "missed", _faults(log)
            return "failed", [f"ended by itself with {process.returncode}: {log}"]
        code = process.wait(timeout=COMMAND_SECONDS)
        self.require_no_survivors()
        if code < 0:
            was_meant = kill.target in ("main", "group")
            return "killed", [] if was_meant else [f"ended by signal {-code}: {log}"]
        return ("survived" if code == 0 else "one line"), _faults(log)

    def _kill(self, process: subprocess.Popen[bytes], target: str) -> bool:
        """Send SIGKILL; say whether there was something to kill."""
        if target == "main":
            process.kill()
            return True
        if target == "group":
            os.killpg(process.pid, signal.SIGKILL)
            return True
        sign = "multiprocessing.spawn" if target == "worker" else "deployments.server"
        found = [
            pid
            for pid, command in process_ids(str(self.folder)).items()
            if sign in command and "resource_tracker" not in command
        ]
        for pid in found[:1]:
            os.kill(pid, signal.SIGKILL)
        return bool(found)

    def _stamps(self, pattern: str) -> set[tuple[str, int]]:
        found = set()
        for path in self.store.glob(pattern) if pattern else ():
            if not path.name.startswith("."):
                try:
                    found.add((str(path), path.stat().st_mtime_ns))
                except FileNotFoundError:  # replaced or removed at this moment
                    continue
        return found

    def require_no_survivors(self) -> None:
        """Wait until all processes of the command are gone."""
        left = wait_until_gone(str(self.folder), SURVIVOR_SECONDS)
        if left:
            raise AssertionError(f"processes are left: {left}")


def _faults(log: Path) -> list[str]:
    """Name what the output of a command that was not itself killed must not show."""
    text = log.read_text()
    return [f"a traceback in {log}"] if "Traceback (most recent call last)" in text else []


def undisturbed(folder: Path) -> tuple[list[dict[str, object]], list[float]]:
    """Run a chain that nobody disturbs; return the store after each step, and the times."""
    chain, outcomes, seconds = Chain(folder), [], []
    for step in CHAIN:
        seconds.append(chain.finish(step, attempt=0))
        outcomes.append(outcome_of(chain.store))
    return outcomes, seconds


def plan_kill(rng: random.Random, seconds: float) -> Kill:
    """Draw a target and a moment."""
    moment = rng.choice(MOMENTS) if rng.random() < 0.5 else ""
    return Kill(rng.choice(TARGETS), moment, rng.uniform(0.5, seconds))


def disturb(
    folder: Path,
    rng: random.Random,
    expected: tuple[list[dict[str, object]], list[float]],
    n_left: int,
) -> tuple[Counter[str], list[str]]:
    """Run one chain with at most `n_left` kills; return what came of them, and faults."""
    chain, came, faults = Chain(folder), Counter[str](), []
    for step, outcome, seconds in zip(CHAIN, *expected, strict=True):
        n_kills = min(rng.randint(1, 3), n_left - came["kills"])
        attempt = 0
        for attempt in range(1, n_kills + 1):
            kill = plan_kill(rng, seconds)
            result, wrong = chain.interrupt(step, kill, attempt=attempt)
            say(f"  {step.command} {attempt}: {kill}: {result} {'; '.join(wrong)}")
            is_kill = result not in {"missed", "failed"}
            came.update([f"{kill.target} {result}"] + ["kills"] * is_kill)
            faults += wrong
            if result == "missed":
                break
        chain.finish(step, attempt=attempt + 1)
        differing = differences(outcome_of(chain.store), outcome)
        left = temporary_files(chain.store)
        wrong = [f"{name} differs" for name in differing] + [
            f"{name} is left" for name in left
        ]
        faults += [f"{folder}: after {step.command}: {text}" for text in wrong]
        say(f"  {step.command} done: {'; '.join(wrong) or 'as undisturbed'}")
    return came, faults


def run_campaign(folder: Path, n_kills: int, seed: int) -> list[str]:
    """Disturb chains until there were so many kills; print a table; return all faults."""
    rng, came, faults = random.Random(seed), Counter[str](), list[str]()
    expected = undisturbed(folder / "undisturbed")
    say("undisturbed:", ", ".join(f"{value:.0f} s" for value in expected[1]))
    index = 0
    while came["kills"] < n_kills:
        place = folder / f"chain-{index}"
        say(f"chain {index}, {came['kills']} of {n_kills} kills")
        more, wrong = disturb(place, rng, expected, n_kills - came["kills"])
        came += more
        faults += wrong
        if not wrong:
            shutil.rmtree(place)
        index += 1
    for name, count in sorted(came.items()):
        say(f"{count:5d}  {name}")
    say("\n".join(faults) or "every chain ended like the one left alone")
    return faults


def main() -> None:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for stores and logs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(bool(run_campaign(folder.resolve(), options.kills, options.seed)))


if __name__ == "__main__":
    main()
