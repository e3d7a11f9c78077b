import pytest

from crystalgnn_core.sources.synthetic.model.decorations import PROTOTYPES, decorations
from crystalgnn_core.sources.synthetic.model.emt import EMT_METALS
from crystalgnn_core.sources.synthetic.model.ions import ION_TABLE


@pytest.mark.parametrize("name", PROTOTYPES)
def test_every_decoration_is_neutral_with_distinct_elements(name):
    prototype = PROTOTYPES[name]
    counts = prototype.roles()
    assert decorations(name)
    for choice in decorations(name):
        numbers = [number for _, number in choice]
        assert len(set(numbers)) == len(counts)
        if prototype.is_metallic:
            assert set(numbers) <= set(EMT_METALS)
        else:
            assert sum(ION_TABLE.charge[z] * counts[role] for role, z in choice) == 0.0


def test_known_compounds_are_among_the_decorations():
    assert (("A", 12), ("X", 8)) in decorations("rocksalt")  # MgO
    assert (("A", 12), ("B", 13), ("X", 8)) in decorations("spinel")  # MgAl2O4
    assert (("A", 38), ("B", 22), ("X", 8)) in decorations("perovskite")  # SrTiO3
    assert (("A", 29), ("B", 31), ("X", 16)) in decorations("chalcopyrite")  # CuGaS2
    assert (("A", 29), ("B", 79)) in decorations("l1_2")  # Cu3Au


def test_equivalent_sites_are_not_swapped():
    pairs = {tuple(number for _, number in choice) for choice in decorations("l1_0")}
    assert all((b, a) not in pairs for a, b in pairs)
