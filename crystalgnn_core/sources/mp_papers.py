"""What to cite for data of the Materials Project, by the hull of the energies."""

from __future__ import annotations

JAIN = (
    "A. Jain et al., Commentary: The Materials Project: A materials genome approach to "
    "accelerating materials innovation, APL Materials 1, 011002 (2013), "
    "doi:10.1063/1.4812323"
)
_R2SCAN = (
    "R. Kingsbury et al., Performance comparison of r2SCAN and SCAN metaGGA density "
    "functionals for solid materials via an automated, high-throughput computational "
    "workflow, Phys. Rev. Materials 6, 013801 (2022), "
    "doi:10.1103/PhysRevMaterials.6.013801"
)
_MIXING = (
    "R. Kingsbury et al., A flexible and scalable scheme for mixing computed formation "
    "energies from different levels of theory, npj Comput. Mater. 8, 195 (2022), "
    "doi:10.1038/s41524-022-00881-w"
)
PAPERS: dict[str, tuple[str, ...]] = {
    "GGA_GGA+U": (JAIN,),
    "R2SCAN": (JAIN, _R2SCAN),
    "GGA_GGA+U_R2SCAN": (JAIN, _R2SCAN, _MIXING),
}
