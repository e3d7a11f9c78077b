"""Speed and memory of every network on a GPU, in training and prediction, and of an epoch.

Run `python -m tests.benchmarks.gpu` on a machine with a GPU; it takes at most 8 minutes. It
prints structures per second and peak memory of the networks as published, in single and
half precision; the share of the card's memory bandwidth that they use (bytes that their
operations read and write, a second, against a measured copy); and the time of one epoch of
44,578 structures, the training split of JARVIS formation energies. Crystals are random, of
the sizes of that data; batches are assembled as training does it, which is included.

Without a GPU, `--device cpu` runs the same code at a size that says nothing about speed.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.fitting import LabelledGraphs
from crystalgnn_core.learning.loop.batching import batches_on_device, epoch_batches
from crystalgnn_core.learning.loop.steps import TrainingState, start_loop, take_steps
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models import (
    ALIGNNConfig,
    CGCNNConfig,
    COGNConfig,
    MEGNetConfig,
    NetworkConfig,
    SchNetConfig,
    for_inference,
)
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.network import Network
from deployments.tables import show_line, show_rows
from tests.core.random_crystals import draw_crystals

CONFIGS = (CGCNNConfig(), ALIGNNConfig(), MEGNetConfig(), SchNetConfig(), COGNConfig())
SCALER = TargetScaler(
    targets=("formation_energy_per_atom", "band_gap"), mean=(0.0, 0.0), std=(1.0, 1.0)
)
BUDGET, LONGEST = 450.0, 8.0  # seconds of all measurements, and of one in the table
GIB = 2**30


class Size(NamedTuple):
    """How much is measured: crystals, graphs of a batch, steps, bytes of a copy."""

    n_rows: int
    n_sample: int
    batch: int
    n_steps: int
    copied: int


FULL = Size(44_578, 8192, 64, 60, 2 * GIB)
TINY = Size(16, 12, 4, 2, 2**24)


class Bytes(TorchDispatchMode):
    """Sum the bytes that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        is_view = any(
            one.alias_info is not None and not one.alias_info.is_write
            for one in func._schema.returns
        )
        if not is_view:
            for one in tree_leaves((args, kwargs, found)):
                if isinstance(one, torch.Tensor):
                    self.total += one.numel() * one.element_size()
        return found


def draw(n_rows: int) -> list[Any]:
    """Draw crystals of 1 to 60 atoms, ten on average, as in JARVIS-DFT."""
    sizes = np.random.default_rng(0).lognormal(2.0, 0.75, n_rows).astype(int)
    return draw_crystals(sizes.clip(1, 60).tolist(), seed=0)


def label(dataset: GraphDataset, n_rows: int) -> LabelledGraphs:
    """Give the first graphs random labels."""
    labels = np.random.default_rng(1).normal(size=(len(dataset), 2))
    return LabelledGraphs(
        dataset, labels, np.arange(min(n_rows, len(dataset))), np.arange(2)
    )


def timed(
    device: torch.device, steps: Iterator[int], n_warm: int, longest: float = LONGEST
) -> tuple[float, int]:
    """Return seconds and graphs of the steps after the first ones, cut when it is time."""
    for _ in islice(steps, n_warm):
        pass
    wait(device)
    started, n_graphs = time.perf_counter(), 0
    for number in steps:
        n_graphs += number
        if time.perf_counter() - started > longest:
            break
    wait(device)
    return time.perf_counter() - started, n_graphs


def wait(device: torch.device) -> None:
    """Wait until the GPU has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> float:
    """Return GiB of the GPU since the last call; on a CPU of the whole process so far."""
    if device.type != "cuda":
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB
    found = torch.cuda.max_memory_allocated(device) / GIB
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return found


def copy_bandwidth(device: torch.device, n_bytes: int) -> float:
    """Return the bytes a second that a copy within the memory of a device moves."""
    source = torch.ones(n_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    wait(device)
    started = time.perf_counter()
    for _ in range(10):
        target.copy_(source)
    wait(device)
    return 20 * n_bytes / (time.perf_counter() - started)


class Setup(NamedTuple):
    """A network on a device, and how it is trained."""

    network: Network
    data: LabelledGraphs
    loop: TrainingState
    device: torch.device

    @classmethod
    def of(
        cls, config: NetworkConfig, data: LabelledGraphs, device: torch.device, **more: Any
    ) -> "Setup":
        """Make fresh weights."""
        torch.manual_seed(0)
        network = create_network(config, SCALER.n_outputs).to(device)
        training = TrainingConfig(epochs=50, device=device.type, **more)
        loop = start_loop(
            network, data.dataset, data.train, training, SCALER, is_finetuning=False
        )
        return cls(network, data, loop, device)

    def batches(self) -> list[Any]:
        """Return the batches of an epoch."""
        graphs, config = self.data.dataset, self.loop.config
        return epoch_batches(self.data.train, graphs.n_edges, config, 1)

    def training(self, n_steps: int | None = None) -> Iterator[int]:
        """Make training steps; yield their graphs."""
        self.network.train()
        labels = torch.from_numpy(self.data.labels).float()
        chosen = self.batches()[:n_steps]
        for _, n_graphs in take_steps(self.loop, labels, chosen):
            yield n_graphs

    def prediction(self, n_steps: int) -> Iterator[int]:
        """Predict batches; yield their graphs."""
        is_half = self.loop.config.precision == "bfloat16"
        self.network.eval()
        form: Callable[[Any], Any] = (
            self.network if is_half else for_inference(self.network)
        )
        context: Any = nullcontext()
        if is_half:
            context = torch.autocast(self.device.type, dtype=torch.bfloat16)
        chosen = self.batches()[:n_steps]
        with torch.inference_mode(), context:
            for rows, batch in batches_on_device(self.data.dataset, chosen, self.device):
                form(batch)
                yield len(rows)


def measure(setup: Setup, size: Size, kind: str, bandwidth: float) -> tuple[str, ...]:
    """Return a row of the table: speed, memory, share of the bandwidth."""
    run = setup.training if kind == "training" else setup.prediction
    with Bytes() as counted:
        n_counted = sum(run(1))
    peak_memory(setup.device)
    seconds, n_graphs = timed(setup.device, run(size.n_steps), size.n_steps // 4)
    moved = counted.total / n_counted * n_graphs / seconds
    return (
        setup.loop.config.precision,
        kind,
        f"{n_graphs / seconds:,.0f}",
        f"{peak_memory(setup.device):.2f}",
        f"{moved / bandwidth:.0%}",
    )


def run(device: torch.device, size: Size) -> None:
    """Measure every network, then one epoch of each as long as there is time."""
    started = time.perf_counter()
    bandwidth = copy_bandwidth(device, size.copied)
    crystals, rows, graphs = draw(size.n_rows), [], dict[GraphConfig, GraphDataset]()
    for config in CONFIGS:
        graph = config.default_graph()
        if graph not in graphs:
            graphs[graph] = build_dataset(crystals, graph)[0]
        sample = label(graphs[graph], size.n_sample)
        for precision in ("float32", "bfloat16"):
            more = {"batch_size": size.batch, "precision": precision}
            setup = Setup.of(config, sample, device, **more)
            rows += [
                (config.kind, *measure(setup, size, kind, bandwidth))
                for kind in ("training", "prediction")
            ]
    show_rows(
        f"Batches of {size.batch} crystals; a copy moves {bandwidth / 1e9:,.0f} GB/s",
        ("network", "precision", "what", "#structures/s", "#peak GiB", "#of bandwidth"),
        rows,
    )
    epochs = []
    for config in CONFIGS:
        data = label(graphs[config.default_graph()], size.n_rows)
        speed = float(next(r[3] for r in rows if r[0] == config.kind).replace(",", ""))
        left = BUDGET - (time.perf_counter() - started)
        if len(data.train) / max(speed, 1e-9) > left:
            epochs.append((config.kind, f"{len(data.train):,}", "no time left"))
            continue
        setup = Setup.of(config, data, device, batch_size=size.batch)
        seconds, n_graphs = timed(device, setup.training(), 0, BUDGET)
        epochs.append((config.kind, f"{n_graphs:,}", f"{seconds:.1f}"))
    show_rows("One epoch, single precision", ("network", "#structures", "#seconds"), epochs)
    show_line(f"all in {time.perf_counter() - started:.0f} s")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    device = parser.parse_args().device
    if device == "cuda" and not torch.cuda.is_available():
        show_line(
            "no GPU is at hand; this is ready to run where there is one, and --device cpu "
            "runs the same code at a tiny size"
        )
        sys.exit(1)
    if device == "cpu":
        show_line(
            "on the CPU, at a tiny size: no GPU is measured, the figures mean nothing"
        )
    else:
        show_line(torch.cuda.get_device_name())
    run(torch.device(device), FULL if device == "cuda" else TINY)


if __name__ == "__main__":
    main()
