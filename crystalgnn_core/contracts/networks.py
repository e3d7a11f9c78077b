"""What every network must do.

A package tests its own with pytest, once it is installed (bundles look its kind up):

    class TestMine(NetworkContract):
        config = MyConfig(width=16)
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING
from unittest import SkipTest

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal

from crystalgnn_core.base import kind_of
from crystalgnn_core.contracts.network_fixtures import (
    DESCRIPTIONS,
    LABELS,
    TARGETS,
    NetworkFixtures,
    card_of,
    crystal_of,
    draw_crystal,
    eight,
    pass_once,
    repeated,
    rocksalt,
)
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.fitting import LabelledGraphs, fit
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.learning.transfer import transfer
from crystalgnn_core.models.cpu.parallel import Parallel, split_batch
from crystalgnn_core.models.inference import for_inference
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.merging import merge_equivalent
from crystalgnn_core.models.network import Estimator, Network, NetworkInParts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crystalgnn_core.records.crystal import Crystal

SPARSE = GraphConfig(strategy="radius", cutoff=4.0, too_few="keep")
SEEDS, RNG = range(15), np.random.default_rng(1)


class NetworkContract(NetworkFixtures):
    """Tests of one configuration; a subclass `Test...` sets `config`, and perhaps `graph`.

    Attributes:
        descriptions: Changes that leave a crystal what it is, and its prediction, too.
        tolerance: What single precision costs a prediction, whose values are near 1.
        least_effect: What a change of the crystal changes at least in the prediction of
            fresh weights, which hardly look at distances; more than rounding.
        reads_cell: Whether an atom without neighbours may have another prediction in a
            larger cell.
        counts_lone_atoms: Whether an atom without neighbours counts beside other atoms.
        cutoff: Distance in angstrom at which a neighbour's influence has gone to zero;
            None where it does not go to zero smoothly.
        without_gradient: Ends of the names of parameters that change nothing, by design.
    """

    descriptions: tuple[Callable[..., Crystal], ...] = DESCRIPTIONS
    tolerance = 1e-5
    least_effect = 1e-5
    reads_cell = False
    counts_lone_atoms = True
    cutoff: float | None = None
    without_gradient: tuple[str, ...] = ()

    def test_settings_describe_a_network(self) -> None:
        kind = self.config.kind
        assert kind == kind_of(type(self.config))
        assert kind.replace("-", "_").isidentifier(), f"{kind!r} is part of file names"
        again = type(self.config).model_validate_json(self.config.model_dump_json())
        assert again == self.config
        assert {1, 83} <= set(self.config.known_elements()) <= set(range(1, 119))
        assert isinstance(create_network(self.config, 1), Network)

    def test_prediction_does_not_depend_on_the_description(self) -> None:
        crystals = [draw_crystal(np.random.default_rng(seed)) for seed in SEEDS]
        before = self.predict(crystals)
        for change in self.descriptions:
            others = [
                change(crystal, np.random.default_rng(seed + 100))
                for seed, crystal in zip(SEEDS, crystals, strict=True)
            ]
            after, name = self.predict(others), change.__name__
            assert_allclose(after, before, 1e-6, self.tolerance, err_msg=name)

    def test_prediction_depends_on_elements_and_on_the_geometry_that_it_sees(self) -> None:
        crystal = draw_crystal(np.random.default_rng(3))
        strained = crystal._replace(lattice=crystal.lattice * 1.02)
        numbers = np.where(crystal.atomic_numbers > 40, 3, 80).astype(np.int16)
        other = crystal._replace(atomic_numbers=numbers)
        values = self.predict([crystal, strained, other])
        by_strain, by_element = np.abs(values[1:] - values[0]).max(axis=1)
        assert by_element > self.least_effect
        if self.config.default_graph().strategy == "none":
            assert by_strain == 0.0
        else:
            assert by_strain > self.least_effect

    def test_batch_equals_single(self) -> None:
        together = self.predict(eight())
        alone = np.concatenate([self.predict([crystal]) for crystal in eight()])
        assert together.shape == (8, 2)
        assert_allclose(together, alone, 1e-6, 1e-5)

    def test_single_atom_cell_is_predicted(self) -> None:
        assert np.isfinite(self.predict([crystal_of([84], np.zeros((1, 3)), 3.35)])).all()

    def test_an_atom_alone_in_its_cell_is_predicted(self) -> None:
        lone = [crystal_of([n], [[0, 0, 0]], a) for n, a in ((11, 20), (11, 30), (12, 20))]
        sodium, wide, magnesium = self.predict(lone, SPARSE)
        assert np.isfinite(sodium).all()
        assert self.reads_cell or np.abs(wide - sodium).max() < 1e-6
        assert np.abs(magnesium - sodium).max() > 1e-5
        among_others = self.predict([*eight(), lone[0]], SPARSE)[-1]
        assert_allclose(among_others, sodium, 1e-6, 1e-5)

    def test_an_atom_without_edges_in_a_larger_crystal_counts(self) -> None:
        cluster = [[1, 1, 1], [3.4, 1, 1], [1, 3.4, 1], [1, 1, 3.4]]
        same, there, other = (
            crystal_of([8, 22, 38, 14, number], [*cluster, [x, 9, 9]], 18)
            for number, x in ((11, 9.0), (11, 9.7), (53, 9.0))
        )
        values = self.predict([same, there, other], SPARSE)
        assert np.isfinite(values).all()
        assert_allclose(values[1], values[0], 1e-6, 1e-5)  # no neighbour sees where it is
        assert not self.counts_lone_atoms or np.abs(values[2] - values[0]).max() > 1e-5

    def test_a_neighbour_at_the_cutoff_has_no_influence(self) -> None:
        if self.cutoff is None:
            raise SkipTest("no envelope is stated")
        wide = GraphConfig(strategy="radius", cutoff=self.cutoff + 2, too_few="keep")
        steps = (1.9, -1e-3, 1e-3, -2.0)
        pairs = [crystal_of([6, 8], [[0] * 3, [0, 0, self.cutoff + x]], 60) for x in steps]
        apart, inside, outside, near = self.predict(pairs, wide)
        assert_allclose(inside, apart, 1e-6, 1e-5)
        assert_allclose(outside, apart, 1e-6, 1e-7)  # an edge, but a longer one
        assert np.abs(near - apart).max() > 1e-5

    def test_gradients_reach_every_parameter(self) -> None:
        network = self.trainable()
        network(self.batch(eight())).square().sum().backward()
        for name, parameter in network.named_parameters():
            gradient = parameter.grad
            assert gradient is not None, f"{name} has no gradient"
            assert gradient.isfinite().all(), f"{name} has a gradient that is not finite"
            has_influence = not name.endswith(self.without_gradient)
            assert gradient.any() or not has_influence, f"{name} has no influence"

    def test_prediction_is_the_mean_of_what_is_trained(self) -> None:
        network, batch = self.network().eval(), self.batch(eight())
        if not isinstance(network, NetworkInParts):
            raise SkipTest("it learns its prediction as a whole")
        mean = network.parts(batch).detach().mean(dim=0)
        assert_allclose(mean, network(batch).detach(), 1e-5, 1e-6)

    def test_merged_atoms_train_as_all_atoms_do(self) -> None:
        crystals = [*eight(), *map(rocksalt, (4.2, 5.6)), repeated(rocksalt(4.8), RNG)]
        batch, network = self.batch(crystals), self.trainable().train()
        if network.equivalence_rounds is None:
            raise SkipTest("it knows more than elements and distances")
        merged = merge_equivalent(batch, network.equivalence_rounds)
        assert len(merged.atomic_numbers) < len(batch.atomic_numbers)
        found = [pass_once(copy.deepcopy(network), graphs) for graphs in (batch, merged)]
        for (name, value), (_, other) in zip(*found, strict=True):
            rounding = 2e-5 * max(1.0, float(value.abs().max()))
            assert_allclose(other, value, 1e-4, rounding, err_msg=name)

    def test_input_is_left_untouched(self) -> None:
        batch, fresh = self.batch(eight()), self.batch(eight())
        self.network()(batch)
        assert batch.to_dict().keys() == fresh.to_dict().keys()
        for name, value in fresh.to_dict().items():
            assert_array_equal(batch[name], value, name)

    def test_eight_crystals_are_learned_by_heart(self) -> None:
        network, batch = create_network(self.config, 1), self.batch(eight())
        labels = torch.from_numpy(LABELS).float().unsqueeze(1)
        if isinstance(network, Estimator):
            network.fit(batch, labels.double().numpy())
            assert (network(batch) - labels).square().mean() < 1e-3
            return
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(150):
            loss = (network(batch) - labels).square().mean()
            if loss < 1e-3:
                return
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        raise AssertionError(f"a squared error of {loss:.1e} is left after 150 steps")

    def test_another_scale_leaves_predictions_as_they_are(self) -> None:
        network = self.network()
        if network.layer_names is None:
            raise SkipTest("cannot be fine-tuned")
        for name in (network.layer_names.embedding, *network.layer_names.after_pooling):
            network.get_submodule(name)
        mean = (0.0, 0.0) if network.layer_names.sums_atoms else (0.3, -0.2)
        old = TargetScaler(targets=TARGETS, mean=(0.0, 0.0), std=(1.0, 1.0))
        new = TargetScaler(targets=TARGETS[::-1], mean=mean, std=(2.0, 0.5))
        moved = transfer(network, old, self.config, new).eval()
        found = new.unscale(self.predict(eight(), network=moved).astype(float))
        assert_allclose(found[:, ::-1], self.predict(eight()), 1e-6, 1e-5)

    def test_a_reloaded_bundle_gives_the_same_numbers(self, tmp_path: Path) -> None:
        card = write_bundle(tmp_path, self.network(), card_of(self.config))
        network, read = load_bundle(tmp_path)
        assert read == card
        assert read.model == self.config
        assert_array_equal(self.predict(eight(), network=network), self.predict(eight()))

    def test_training_is_decided_by_the_seed(self, tmp_path: Path) -> None:
        self.trainable()
        graph = self.graph or self.config.default_graph()
        dataset, _ = build_dataset(eight(), graph)
        labels = np.random.default_rng(0).normal(size=(8, 2))
        rows = LabelledGraphs(dataset, labels, np.arange(6), np.arange(6, 8))
        states = []
        for index, seed in enumerate((1, 1, 2)):
            training = TrainingConfig(epochs=2, batch_size=2, seed=seed, device="cpu")
            torch.manual_seed(seed)
            network = create_network(self.config, 2)
            checkpoints = CheckpointFolder(tmp_path / str(index))
            fit(network, rows, training, checkpoints, card_of(self.config), device="cpu")
            states.append(network.state_dict())
        first, again, other = states
        assert all(torch.equal(value, again[name]) for name, value in first.items())
        assert any(not torch.equal(value, other[name]) for name, value in first.items())

    def test_fast_form_predicts_the_same(self) -> None:
        network, batch = self.network(), self.batch(eight())
        form = for_inference(network)
        with torch.no_grad():
            expected = network(batch)
        assert_allclose(form(batch), expected, 1e-6, 5e-6)
        if isinstance(form, Parallel):
            parts = [form.form(part) for part in split_batch(batch, 3)]
            assert_allclose(torch.cat(parts), expected, 1e-6, 5e-6)

    def test_fast_form_is_made_of_the_weights_as_they_are(self) -> None:
        self.trainable()
        batch, network = self.batch(eight()), copy.deepcopy(self.network())
        before = for_inference(network)(batch)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05)
            after, expected = for_inference(network)(batch), network(batch)
        assert not torch.allclose(before, after)
        assert_allclose(after, expected, 1e-5, 2e-5)

    def test_fast_form_has_no_gradient_and_evaluates(self) -> None:
        form = for_inference(create_network(self.config, 1).train())
        assert not form(self.batch(eight())).requires_grad
        alone = form(self.batch(eight()[:1]))  # no statistics of the batch are used
        assert_allclose(alone, form(self.batch(eight()))[:1], 1e-6, 1e-5)

    def test_seed_decides_the_weights(self) -> None:
        self.trainable()
        values = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            fresh = create_network(self.config, 1).eval()
            values.append(self.predict(eight(), network=fresh))
        assert_array_equal(values[0], values[1])
        assert not np.array_equal(values[0], values[2])
