"""The script for a GPU runs at a tiny size without one, and says that there is none."""

import pytest
import torch

from tests.benchmarks import gpu

NETWORKS = ("cgcnn", "alignn", "megnet", "schnet", "cogn")


def test_without_a_gpu_it_says_that_there_is_none(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit, match="1"):
        gpu.main()
    assert "no GPU is at hand" in " ".join(capsys.readouterr().out.split())


def test_bytes_are_those_that_operations_read_and_write():
    first, second = torch.ones(100), torch.ones(100)
    with gpu.Bytes() as counted:
        first.view(10, 10).t()
        first.add_(second)
        first + second
    assert counted.total == 400 * (3 + 3)


@pytest.mark.slow
def test_the_same_code_runs_on_the_cpu(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu"])
    gpu.main()
    said = capsys.readouterr().out
    assert "no GPU is measured" in said
    lines = [line.split()[1] for line in said.splitlines() if line.startswith("\u2502")]
    # both precisions, training and prediction, and an epoch
    assert [lines.count(name) for name in NETWORKS] == [5] * len(NETWORKS)
