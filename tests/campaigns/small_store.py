"""A small store with every kind of file, made by a few commands in this process."""

import contextlib
import io
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from deployments.cli import main
from tests.tiny import TINY

CUBES = {
    "NaCl": (5.64, ["Na", "Cl"]),
    "KCl": (6.29, ["K", "Cl"]),
    "MgO": (4.21, ["Mg", "O"]),
    "LiF": (4.03, ["Li", "F"]),
}


Command = tuple[object, ...]


class Ended(NamedTuple):
    """How a command ended: exit code, all that it wrote, and whether an error escaped."""

    code: int
    text: str
    escaped: bool

    @property
    def is_refusal(self) -> bool:
        """Whether it ended in the one line of an error, with nothing before it."""
        return self.code == 1 and not self.escaped and self.text.strip().count("\n") == 0


def run(*arguments: object) -> Ended:
    """Run a command line in this process; an error that escapes it is a traceback."""
    out, err = io.StringIO(), io.StringIO()
    before, code, escaped = sys.argv, 0, False
    sys.argv = ["crystalgnn", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  a panic of a Rust library derives from this alone
        code, escaped = 1, True
        err.write(traceback.format_exc())
    finally:
        sys.argv = before
    text = err.getvalue() if code and err.getvalue() else out.getvalue()
    return Ended(code, text, escaped)


class SmallStore:
    """Configurations of a pipeline and of a pre-screened screen on one small store.

    Args:
        folder: Holds the store, the configurations and two folders of crystal files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        config = folder / "pipeline.yaml"
        self.commands: list[Command] = [
            ("pipeline", "--config", config),
            ("screen", "--config", folder / "fast.yaml", "--model", "champion"),
        ]
        self.training: list[Command] = [
            ("train", "--config", config, "--set", f"training.seed={seed}")
            for seed in (1, 2)
        ]

    def build(self) -> None:
        """Make the store in two rounds, so that rows change, appear and are removed."""
        self._write_config(n_candidates=40)
        self._write_crystals("lab", ["NaCl", "KCl"])
        self._write_crystals("other", ["NaCl", "MgO"])
        (self.folder / "lab" / "bad.cif").write_text("data_bad\n")
        self.rerun()
        (self.folder / "lab" / "KCl.cif").unlink()
        self._write_crystals("lab", ["LiF"])
        self._write_config(n_candidates=50)
        self.rerun()
        run(*self.training[0])

    def rerun(self) -> None:
        """Run all commands; each must succeed."""
        for command in self.commands:
            ended = run(*command)
            if ended.code:
                raise RuntimeError(f"{command[0]}: {ended.text}")

    def _write_crystals(self, name: str, formulas: list[str]) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        for formula in formulas:
            length, species = CUBES[formula]
            cell = Lattice.cubic(length)
            crystal = Structure.from_spacegroup(
                "Fm-3m", cell, species, [[0, 0, 0], [0.5, 0.5, 0.5]]
            )
            crystal.to(str(self.folder / name / f"{formula}.cif"))

    def _write_config(self, *, n_candidates: int) -> None:
        synthetic, candidates = TINY["sources"]
        screening = TINY["screening"] | {"sources": ["candidates", "lab"]}
        files = [
            {"kind": "files", "name": name, "path": str(self.folder / name)}
            for name in ("lab", "other")
        ]
        config: dict[str, Any] = TINY | {
            "store": str(self.store),
            "training": TINY["training"] | {"loading": "mapped"},
            "sources": [synthetic, candidates | {"n_structures": n_candidates}, *files],
            "screening": screening,
            "linking": {"after_ingest": True},
        }
        (self.folder / "pipeline.yaml").write_text(yaml.safe_dump(config))
        fast = {"models": ["champion"], "keep": 0.5}
        config["screening"] = screening | {"name": "fast", "prescreen": fast}
        (self.folder / "fast.yaml").write_text(yaml.safe_dump(config))
