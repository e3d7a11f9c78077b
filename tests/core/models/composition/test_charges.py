"""How near a formula is to being neutral."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from crystalgnn_core.models.base import CompositionJoinConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.composition.charges import charge_features, charges_of
from crystalgnn_core.models.composition.config import (
    CompositionGNNConfig,
    CompositionMLPConfig,
)
from crystalgnn_core.models.composition.elements import elements_of
from crystalgnn_core.models.joined import create_network

BALANCED = {"common": 2, "icsd": 6}
ELEMENTS = ("H", "Li", "O", "Na", "S", "Fe", "Cu", "Ba", "Eu", "Sn", "Cl", "Sb", "Al", "Ar")


def features(*formulas):
    parts = [Composition(formula).get_el_amt_dict() for formula in formulas]
    numbers = [Element(symbol).Z for part in parts for symbol in part]
    amounts = [int(amount) for part in parts for amount in part.values()]
    pointer = np.cumsum([0, *map(len, parts)])
    return charge_features(np.array(numbers), np.array(amounts), pointer)


@pytest.mark.parametrize(
    ("formula", "excess", "deficit", "distance"),
    [
        ("NaCl", 0, 0, 0),
        ("EuO", 0, 0, 0),
        ("BaYS3", 1, 1 / 5, 1 / 5),  # 2 + 3 - 6: a hole, or a bond between anions
        ("LaSiN2", 1 / 4, 1, 1 / 4),  # 3 + 4 - 6 with nitride: one electron too many
        ("FeS2", 1, 1 / 3, 1 / 3),  # sulfur is bonded in pairs
        ("Fe3O4", 1 / 7, 2 / 7, 0),  # neutral where iron is both two- and threefold
        ("NiAl", 1, 1, 1),  # no anion
        ("Cu", 1, 1, 1),
        ("Ar", 1, 1, 1),
    ],
)
def test_what_is_left_over_by_hand(formula, excess, deficit, distance):
    found = features(formula)[0]
    assert found[:4] == pytest.approx(
        [excess, deficit, int(excess == deficit == 0), distance]
    )


def test_states_of_the_icsd_balance_what_the_common_ones_do_not():
    found = features("Cu2O", "YbO", "Rb2MgCl6")
    assert found[:, BALANCED["common"]].tolist() == [0, 0, 0]
    assert found[:, BALANCED["icsd"]].tolist() == [1, 1, 0]


def test_electrons_are_even_or_odd():
    assert features("NaCl", "BaYS3", "Ba2Y2S6", "Cu")[:, -1].tolist() == [0, 1, 1, 1]
    assert features("LiO", "NaNbO3")[:, -1].tolist() == [1, 0]


FORMULAS = st.dictionaries(
    st.sampled_from(ELEMENTS), st.integers(1, 9), min_size=1, max_size=5
)


@given(FORMULAS, st.integers(2, 5), st.randoms())
def test_neither_order_nor_supercell_changes_a_bit(parts, times, random):
    order = list(parts)
    random.shuffle(order)
    other = "".join(f"{symbol}{times * parts[symbol]}" for symbol in order)
    formula = "".join(f"{symbol}{amount}" for symbol, amount in parts.items())
    assert features(formula).tolist() == features(other).tolist()


@given(FORMULAS)
def test_all_assignments_tried_one_by_one_give_the_same(parts):
    found = features("".join(f"{symbol}{n}" for symbol, n in parts.items()))[0]
    for place, kind in zip((0, 4), ("common", "icsd"), strict=True):
        charges = [charge for charge in neutralities(parts, kind) if abs(charge) <= 1]
        excess = min((c for c in charges if c >= 0), default=1)
        deficit = min((-c for c in charges if c <= 0), default=1)
        assert found[place : place + 2] == pytest.approx([excess, deficit])
        assert found[place + 2] == (0 in charges)
        assert found[place + 3] <= min(excess, deficit) + 1e-12


def neutralities(parts, kind):
    """Return the charge per atom of every assignment of one state to each element."""
    elements = [Element(symbol) for symbol in parts]
    choices = [getattr(one, f"{kind}_oxidation_states") or (0,) for one in elements]
    if kind == "icsd":
        usual = [one.common_oxidation_states or (0,) for one in elements]
        pairs = zip(elements, choices, usual, strict=True)
        choices = [c if one.icsd_oxidation_states else u for one, c, u in pairs]
    order = [one.X if one.symbol != "Ar" else np.inf for one in elements]
    total = sum(parts.values())
    for states in product(*choices):
        known = list(zip(order, states, strict=True))
        # some electronegativity divides those that give from those that take
        cuts = sorted(set(order))[:-1]
        if any(all(s * (1 if x <= cut else -1) >= 0 for x, s in known) for cut in cuts):
            charge = sum(s * n for s, n in zip(states, parts.values(), strict=True))
            yield charge / total


@pytest.mark.parametrize(
    "formula",
    ["CsLaZnSe3", "Cs3SbS4", "Ba2CdH6", "KGeI3", "TbSF", "Rb2MgSnSe4", "PbTiO3", "Cu2O"],
)
def test_pymatgen_finds_neutral_states_where_a_formula_is_balanced(formula):
    assert features(formula)[0, BALANCED["icsd"]] == 1
    assert Composition(formula).oxi_state_guesses()


@pytest.mark.parametrize("formula", ["Li2MgO3", "Na2HfO4", "Rb2MgCl6"])
def test_pymatgen_finds_none_where_mixed_states_do_not_help(formula):
    assert features(formula)[0, 7] > 0
    assert not Composition(formula).oxi_state_guesses()


@pytest.mark.parametrize(
    "config",
    [
        CompositionMLPConfig(charge_balance=True),
        CompositionGNNConfig(charge_balance=True),
        CGCNNConfig(composition=CompositionJoinConfig(charge_balance=True)),
        CGCNNConfig(composition=CompositionJoinConfig(reader="gnn", charge_balance=True)),
    ],
    ids=lambda config: f"{config.kind}-{getattr(config.composition, 'reader', '')}",
)
def test_networks_read_the_balance_where_settings_ask_for_it(config, crystals, batch_of):
    torch.manual_seed(0)
    network, batch = create_network(config, 1), batch_of(crystals)
    assert charges_of(elements_of(batch)).std() > 0
    network(batch).square().sum().backward()
    inputs = dict(network.named_parameters())
    weights = next(
        w
        for name, w in inputs.items()
        if w.shape[-1:] == (9,) or "layers.0.w" in name or "composition.0.w" in name
    )
    assert weights.grad is not None
    assert weights.grad[:, -9:].abs().sum() > 0


def test_older_settings_keep_their_names():
    for config in (CompositionMLPConfig(), CompositionGNNConfig(), CompositionJoinConfig()):
        assert "charge_balance" not in config.digest_content()
