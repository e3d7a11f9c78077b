"""Reference energies of the metals, whose formation energy is zero by definition."""

from __future__ import annotations

# EMT energy of fcc at its own lattice constant in eV/atom, by atomic number; a test
# compares them with a minimisation by ASE
ELEMENT_ENERGIES: dict[int, float] = {
    13: -0.004882684533,
    28: -0.013306892310,
    29: -0.007036492052,
    46: -0.000269925335,
    47: -0.000366862539,
    78: -0.000149527060,
    79: -0.000135141250,
}
