"""Kill trainings at random moments; each ends with the weights of one left alone.

The default recipe (three members, a gap in two parts, shares of the parts, intervals) is
trained on a small store, and its model fine-tuned on other rows, with the learning rate
chosen by short runs. Each command is killed and started again; weights, test predictions
and cards must then equal those of undisturbed runs, bit for bit on one thread.

    python -m tests.campaigns.trainings --kills 20 --seed 1 [--keep FOLDER]

Ends with exit code 1 if anything differed. About 20 s a kill on a quiet core.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.campaigns.kills import Chain, Kill, Step, say
from tests.campaigns.outcome import differences, outcome_of

SYNTHETIC = {"kind": "synthetic", "part_size": 200}
SOURCES = [
    SYNTHETIC | {"name": "labelled", "n_structures": 200},
    SYNTHETIC | {"name": "later", "n_structures": 120, "batch": 2},
]
TRAINING: dict[str, Any] = {
    "sources": ["labelled"],
    "epochs": 10,
    "device": "cpu",
    "split": {"val_fraction": 0.2, "test_fraction": 0.2},
}
INGEST = Step("ingest", {})
TRAIN = Step("train", {})
FINETUNE = Step(
    "finetune",
    {
        "training": TRAINING | {"sources": ["later"], "members": 1, "seed": 3},
        "finetuning": {"epochs": 30},
    },
)
# of a member; of a short run that tries a rate; of the network that is fine-tuned
MOMENTS = {
    "train": ("models/*/checkpoints/member-?/pointers.json", "models/*/model.safetensors"),
    "finetune": (
        "models/*/checkpoints/rate-*/pointers.json",
        "models/*/checkpoints/pointers.json",
    ),
}


class Trainings(Chain):
    """Trainings on one store, each a process of its own."""

    def start(self, step: Step, *, attempt: int) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command in a process group of its own; return it and its log."""
        config = self.folder / f"{step.command}.yaml"
        log = self.folder / f"{step.command}-{attempt}.log"
        settings = {"sources": SOURCES, "recipe": "default", "training": TRAINING}
        settings |= step.changes | {"store": str(self.store)}
        config.write_text(yaml.safe_dump(settings))
        words = [step.command, "-v", "--config", str(config)]
        if step is FINETUNE:
            words += ["--model", self.base]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "deployments.cli", *words],
                env=self.environment | {"OMP_NUM_THREADS": "1"},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return process, log

    @cached_property
    def base(self) -> str:
        """Name of the model that was trained first, before there is a fine-tuned one."""
        [found] = self.store.glob("models/*/checkpoints/member-1")
        return found.parents[1].name


def plan_kill(step: Step, rng: random.Random, seconds: float) -> Kill:
    """Draw a target, and a checkpoint or a time at which training has probably begun."""
    moment = rng.choice(MOMENTS[step.command]) if rng.random() < 0.3 else ""
    return Kill(rng.choice(("main", "group")), moment, rng.uniform(0.4, 1.0) * seconds)


def run_campaign(folder: Path, n_kills: int, seed: int) -> list[str]:
    """Kill each of both commands half of the times; return all that differed."""
    rng, calm = random.Random(seed), Trainings(folder / "calm")
    calm.finish(INGEST, attempt=0)
    chain = Trainings(folder / "killed")
    shutil.copytree(calm.store, chain.store)
    faults = []
    for step, share in ((TRAIN, n_kills - n_kills // 2), (FINETUNE, n_kills // 2)):
        seconds = calm.finish(step, attempt=0)
        say(f"{step.command}, undisturbed: {seconds:.0f} s")
        done, attempt, came = 0, 0, ""
        while done < share:
            attempt += 1
            if came == "missed":  # it is finished: begin again
                for model in _models(chain.store) - _models(folder / "before"):
                    shutil.rmtree(chain.store / "models" / model)
            kill = plan_kill(step, rng, seconds)
            came, wrong = chain.interrupt(step, kill, attempt=attempt)
            done += came != "missed"
            say(f"  {step.command} {done}: {kill}: {came} {'; '.join(wrong)}")
            faults += wrong
            if came == "missed":
                faults += _compare(chain.store, calm.store, step)
        chain.finish(step, attempt=attempt + 1)
        faults += _compare(chain.store, calm.store, step)
        for model in _models(chain.store):
            (folder / "before" / "models" / model).mkdir(parents=True, exist_ok=True)
    say("\n".join(faults) or f"{n_kills} kills; every model has the weights of calm runs")
    return faults


def _models(store: Path) -> set[str]:
    return {path.name for path in store.glob("models/*") if path.is_dir()}


def _compare(store: Path, calm: Path, step: Step) -> list[str]:
    found = differences(outcome_of(store), outcome_of(calm))
    say(f"  {step.command} done: {', '.join(found) or 'as undisturbed'}")
    return [f"after {step.command} {name} differs" for name in found]


def main() -> None:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for stores and logs")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(bool(run_campaign(folder, options.kills, options.seed)))


if __name__ == "__main__":
    main()
