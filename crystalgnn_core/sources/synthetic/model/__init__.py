"""A computable model world of crystals: structures, formation energies, gaps and hulls.

Everything here is synthetic. The numbers are smooth functions of structure and composition
with the right order of magnitude; they are no substitute for a calculation.

* Metallic crystals (only Al, Ni, Cu, Pd, Ag, Pt, Au) have the energy of the
  effective-medium theory, `emt.py`.
* Ionic crystals (charge-balanced) have the energy of creating the ions, Coulomb and
  Born-Mayer energy and a resonance term, `ionic.py`.
* Both are counted from elements at zero, so formation energies share one scale.
* The gap rule is in `gap.py`; structures come from the files of prototypes,
  `decorations.py` and `specimens.py`.
"""
