import numpy as np
import pytest
from pymatgen.core.periodic_table import Element

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.synthetic.model.ions import IONS, formal_charges
from tests.core.sources.synthetic.model.ion_energy_fit import fit_ion_energies

TABULATED = [ion for ion in IONS if ion.symbol not in ("N", "P", "As")]


@pytest.mark.parametrize("ion", TABULATED, ids=lambda ion: ion.symbol)
def test_radii_are_those_that_pymatgen_tabulates_after_shannon(ion):
    spins = Element(ion.symbol).data["Shannon radii"][str(ion.charge)]["VI"]
    row = spins.get("High Spin", spins.get(""))
    assert ion.radius == pytest.approx(row["ionic_radius"])


def test_unbalanced_and_unknown_crystals_are_refused():
    with pytest.raises(RecordError, match="add up to"):
        formal_charges(np.array([11, 8], np.int16))
    with pytest.raises(RecordError, match="no ion of Au"):
        formal_charges(np.array([79, 17], np.int16))


def test_the_energies_of_the_ions_are_what_the_fit_gives():
    tabulated = {ion.symbol: ion.energy for ion in IONS}
    fitted = fit_ion_energies()
    assert list(fitted) == list(tabulated)
    # the table has three decimals
    assert fitted == pytest.approx(tabulated, abs=2e-3)
