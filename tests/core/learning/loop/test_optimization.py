import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from crystalgnn_core.learning.config import OptimizerConfig, TrainingConfig
from crystalgnn_core.learning.loop.optimization import (
    loss_columns,
    make_optimizer,
    make_scheduler,
    masked_loss,
)
from crystalgnn_core.learning.scaling import TargetScaler

NAN = float("nan")


def test_the_loss_averages_over_labels_then_over_targets():
    outputs = torch.tensor([[1.0, 0.0], [3.0, 5.0], [0.0, 9.0]])
    labels = torch.tensor([[0.0, NAN], [1.0, 1.0], [NAN, NAN]])
    # first target: |1| and |2|, mean 1.5; second: |4|, mean 4
    assert masked_loss(outputs, labels, "l1").item() == pytest.approx((1.5 + 4.0) / 2)
    assert masked_loss(outputs, labels, "mse").item() == pytest.approx((2.5 + 16.0) / 2)
    # huber: 0.5, 1.5 and 3.5
    assert masked_loss(outputs, labels, "huber").item() == pytest.approx((1.0 + 3.5) / 2)


def test_a_missing_label_has_no_gradient_and_a_target_without_labels_no_weight():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    labels = torch.tensor([[0.0, NAN], [0.0, NAN]])
    loss = masked_loss(outputs, labels, "mse")
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.item() == pytest.approx(5.0)  # (1 + 9) / 2
    assert gradient.tolist() == [[1.0, 0.0], [3.0, 0.0]]  # 2 x / 2


def test_a_batch_without_labels_has_no_loss():
    outputs = torch.ones(2, 1, requires_grad=True)
    loss = masked_loss(outputs, torch.full((2, 1), NAN), "l1")
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.item() == 0.0
    assert gradient.tolist() == [[0.0], [0.0]]


def rates(schedule, n_epochs=10, restart_at=None):
    config = TrainingConfig(
        epochs=n_epochs,
        optimizer=OptimizerConfig(kind="sgd", learning_rate=1.0, schedule=schedule),
    )
    optimizer = make_optimizer(nn.Linear(1, 1), config.optimizer)
    scheduler = make_scheduler(optimizer, config, 2 * n_epochs)
    seen = []
    for step in range(2 * n_epochs):
        if step == restart_at:
            states = json.dumps([scheduler.state_dict(), optimizer.state_dict()])
            optimizer = make_optimizer(nn.Linear(1, 1), config.optimizer)
            scheduler = make_scheduler(optimizer, config, 2 * n_epochs)
            kept = json.loads(states)
            scheduler.load_state_dict(kept[0])
            optimizer.param_groups[0].update(kept[1]["param_groups"][0] | {
                "params": optimizer.param_groups[0]["params"]
            })  # fmt: skip
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_the_step_schedule_drops_tenfold_at_80_percent():
    assert rates("step") == pytest.approx([1.0] * 16 + [0.1] * 4)


def test_the_constant_schedule_is_constant():
    assert set(rates("constant")) == {1.0}


def test_the_one_cycle_schedule_peaks_at_the_learning_rate():
    seen = rates("one_cycle")
    assert max(seen) == pytest.approx(1.0)
    assert seen[0] < 0.1
    assert seen[-1] < 1e-3


@pytest.mark.parametrize("schedule", ["one_cycle", "step", "constant"])
def test_a_schedule_kept_as_json_goes_on_as_if_nothing_had_happened(schedule):
    for restart_at in (1, 9, 15, 17):
        assert rates(schedule, restart_at=restart_at) == rates(schedule)


@pytest.mark.parametrize("schedule", ["one_cycle", "step", "constant"])
def test_a_run_of_one_step_has_a_schedule(schedule):
    assert len(rates(schedule, n_epochs=1)) == 2


def test_classes_have_the_cross_entropy_of_their_logits():
    outputs = torch.tensor([[1.0, 0.0], [3.0, math.log(3.0)], [0.0, 9.0]])
    outputs.requires_grad_()
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0], [NAN, NAN]])
    # second target: -ln 0.5 and -ln(1 - 3/4) = 2 ln 2, mean 1.5 ln 2
    loss = masked_loss(outputs, labels, "l1", torch.tensor([False, True]))
    assert loss.item() == pytest.approx((1.5 + 1.5 * math.log(2.0)) / 2)
    (gradient,) = torch.autograd.grad(loss, outputs)
    # probability minus class, over two labels and two targets
    assert gradient[:, 1].tolist() == pytest.approx([-0.5 / 4, 0.75 / 4, 0.0])


def test_without_classes_the_loss_is_as_before():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(50, 3, generator=generator)
    labels = torch.randn(50, 3, generator=generator)
    labels[::7] = NAN
    for kind in ("l1", "huber", "mse"):
        plain = masked_loss(outputs, labels, kind)
        assert plain == masked_loss(outputs, labels, kind, torch.zeros(3, dtype=torch.bool))


def test_zero_rows_do_not_count_in_the_value_of_a_hurdle_target():
    scaler = TargetScaler(
        targets=("band_gap",), mean=(0.0,), std=(1.0,), hurdle=("band_gap",)
    )
    labels = torch.from_numpy(scaler.scale(np.array([[0.0], [2.0]]))).float()
    outputs = torch.tensor([[7.0, 0.0], [1.0, 0.0]], requires_grad=True)
    columns = loss_columns(scaler, torch.device("cpu"), {})
    loss = masked_loss(outputs, labels, "l1", *columns)
    # the value of the second row is off by 1; logits of 0 cost ln 2 in both
    assert loss.item() == pytest.approx((1.0 + np.log(2)) / 2)
    loss.backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 0] == 0
    assert (outputs.grad[[0, 1, 1], [1, 0, 1]] != 0).all()


def test_the_two_columns_of_a_hurdle_target_weigh_as_much_as_one_other():
    names = ("formation_energy_per_atom", "band_gap")
    scaler = TargetScaler(
        targets=names, mean=(0.0, 0.0), std=(1.0, 1.0), hurdle=("band_gap",)
    )
    columns = loss_columns(scaler, torch.device("cpu"), {})
    outputs = torch.tensor([[4.0, 1.0, 0.0]])
    with_gap = torch.tensor([[0.0, 3.0, 1.0]])
    loss = masked_loss(outputs, with_gap, "l1", *columns)
    assert loss.item() == pytest.approx((4.0 + (2.0 + np.log(2)) / 2) / 2)
    metals = torch.tensor([[0.0, NAN, 0.0]])  # a batch without a value
    loss = masked_loss(outputs, metals, "l1", *columns)
    assert loss.item() == pytest.approx((4.0 + np.log(2) / 2) / 1.5)
    nothing = torch.full((1, 3), NAN)
    assert masked_loss(outputs, nothing, "l1", *columns).item() == 0.0


def test_without_hurdle_all_columns_weigh_the_same():
    scaler = TargetScaler(targets=("band_gap", "is_metal"), mean=(0.0, 0.0), std=(1.0, 1.0))
    classes, weights = loss_columns(scaler, torch.device("cpu"), {})
    assert classes is not None
    assert classes.tolist() == [False, True]
    assert weights is None


def test_a_target_counts_by_its_weight_whatever_it_is_learned_beside():
    names = ("formation_energy_per_atom", "band_gap")
    scaler = TargetScaler(
        targets=names, mean=(0.0, 0.0), std=(1.0, 1.0), hurdle=("band_gap",)
    )
    weights = {"formation_energy_per_atom": 4.0, "bulk_modulus": 9.0}  # which is not there
    columns = loss_columns(scaler, torch.device("cpu"), weights)
    outputs, labels = torch.tensor([[4.0, 1.0, 0.0]]), torch.tensor([[0.0, 3.0, 1.0]])
    loss = masked_loss(outputs, labels, "l1", *columns)
    assert loss.item() == pytest.approx((4 * 4.0 + (2.0 + np.log(2)) / 2) / (4 + 1))
    alone = torch.tensor([[NAN, 3.0, 1.0]])
    loss = masked_loss(outputs, alone, "l1", *columns)
    assert loss.item() == pytest.approx((2.0 + np.log(2)) / 2)
