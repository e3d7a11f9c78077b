import pytest

from crystalgnn_core.sources.synthetic.model.ion_energies import ION_ENERGIES
from crystalgnn_core.sources.synthetic.model.ions import IONS
from crystalgnn_core.sources.synthetic.model.reference import fit_ion_energies


def test_the_table_of_ion_energies_is_what_the_fit_gives():
    fitted = fit_ion_energies()
    assert list(fitted) == list(ION_ENERGIES) == [ion.symbol for ion in IONS]
    # the table has three decimals
    assert fitted == pytest.approx(ION_ENERGIES, abs=2e-3)
