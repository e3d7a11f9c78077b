"""The numbers behind `source.py`: structure types, lattice constants, free parameters.

Lattice constants (angstrom) and free parameters hold at room temperature and are rounded
textbook values, written down for examples and not for reference work. Where a standard
compilation lists the crystal it is named, as the place to compare with, not as the source
of every digit. The tests cross-check most of them by density or bond lengths.
"""

from __future__ import annotations

CRC = "rounded textbook value; compare the CRC Handbook of Chemistry and Physics"
WYCKOFF = "rounded textbook value; compare R. W. G. Wyckoff, Crystal Structures"
NO_TABLE = "rounded textbook value"

# space group number, then one site an orbit: the letter counts the elements of the formula,
# u and v are the free parameters of a crystal; origin choice 1 where there are two
PROTOTYPES: dict[str, tuple[int, str]] = {
    "fcc": (225, "A 0 0 0"),
    "bcc": (229, "A 0 0 0"),
    "hcp": (194, "A 1/3 2/3 1/4"),
    "diamond": (227, "A 0 0 0"),
    "bismuth": (166, "A 0 0 u"),
    "tellurium": (152, "A u 0 1/3"),
    "white tin": (141, "A 0 0 0"),
    "graphite": (194, "A 0 0 1/4; A 1/3 2/3 1/4"),
    "boron nitride": (194, "A 1/3 2/3 1/4; B 1/3 2/3 3/4"),
    "rock salt": (225, "A 0 0 0; B 1/2 1/2 1/2"),
    "caesium chloride": (221, "A 0 0 0; B 1/2 1/2 1/2"),
    "zincblende": (216, "A 0 0 0; B 1/4 1/4 1/4"),
    "wurtzite": (186, "A 1/3 2/3 0; B 1/3 2/3 u"),
    "nickel arsenide": (194, "A 0 0 0; B 1/3 2/3 1/4"),
    "tenorite": (15, "A 1/4 1/4 0; B 0 u 1/4"),
    "fluorite": (225, "A 0 0 0; B 1/4 1/4 1/4"),
    "antifluorite": (225, "A 1/4 1/4 1/4; B 0 0 0"),
    "rutile": (136, "A 0 0 0; B u u 0"),
    "anatase": (141, "A 0 0 0; B 0 0 u"),
    "quartz": (154, "A u 0 2/3; B 0.4135 0.2669 0.7858"),
    "pyrite": (205, "A 0 0 0; B u u u"),
    "molybdenite": (194, "A 1/3 2/3 1/4; B 1/3 2/3 u"),
    "cadmium iodide": (164, "A 0 0 0; B 1/3 2/3 u"),
    "cuprite": (224, "A 1/4 1/4 1/4; B 0 0 0"),
    "aluminium diboride": (191, "A 0 0 0; B 1/3 2/3 1/2"),
    "corundum": (167, "A 0 0 u; B v 0 1/4"),
    "tetradymite": (166, "A 0 0 u; B 0 0 0; B 0 0 v"),
    "rhenium trioxide": (221, "A 0 0 0; B 1/2 0 0"),
    "hexaboride": (221, "A 0 0 0; B u 1/2 1/2"),
    "A15": (223, "A 1/4 0 1/2; B 0 0 0"),
    "L1_0": (123, "A 0 0 0; B 1/2 1/2 1/2"),
    "L1_2": (221, "A 0 1/2 1/2; B 0 0 0"),
    "perovskite": (221, "A 0 0 0; B 1/2 1/2 1/2; C 1/2 1/2 0"),
    "spinel": (227, "A 0 0 0; B 5/8 5/8 5/8; C u u u"),
    "magnetite": (227, "A 0 0 0; A 5/8 5/8 5/8; B u u u"),
    "chalcopyrite": (122, "A 0 0 0; B 0 0 1/2; C u 1/4 1/8"),
    "calcite": (167, "A 0 0 0; B 0 0 1/4; C u 0 1/4"),
    "lithium cobaltite": (166, "A 0 0 1/2; B 0 0 0; C 0 0 u"),
    "olivine": (
        62,
        (
            "A 0 0 0; B 0.28222 1/4 0.97472; C 0.09486 1/4 0.41820; D 0.09678 1/4 0.74279; "
            "D 0.45710 1/4 0.20602; D 0.16558 0.04646 0.28478"
        ),
    ),
}

# structure type, origin, `name a [b] [c] [beta] / u [v]` of each crystal; beta in degrees
CRYSTALS: tuple[tuple[str, str, str], ...] = (
    ("fcc", CRC, "Al 4.0496; Cu 3.6149; Ag 4.0857; Au 4.0782; Ni 3.5240; Pt 3.9242"),
    ("fcc", CRC, "Pd 3.8907; Pb 4.9502; Ca 5.5884"),
    ("bcc", CRC, "Fe 2.8665; W 3.1652; Mo 3.1470; V 3.0240; Nb 3.3004; Ta 3.3030"),
    ("bcc", CRC, "Na 4.2906; Cr 2.8848"),
    ("hcp", CRC, "Mg 3.2094 5.2107; Ti 2.9508 4.6855; Zn 2.6649 4.9468; Co 2.5071 4.0695"),
    ("hcp", CRC, "Zr 3.2316 5.1475; Be 2.2858 3.5843; Cd 2.9793 5.6181"),
    ("diamond", CRC, "C-diamond 3.567; Si 5.43; Ge 5.658"),
    ("bismuth", WYCKOFF, "Bi 4.546 11.862 / 0.2339; Sb 4.307 11.273 / 0.2336"),
    ("tellurium", NO_TABLE, "Te 4.456 5.921 / 0.2636"),
    ("white tin", CRC, "Sn-white 5.8318 3.1819"),
    ("graphite", WYCKOFF, "C-graphite 2.4612 6.7079"),
    ("boron nitride", NO_TABLE, "BN-hexagonal 2.5040 6.6612"),
    ("rock salt", WYCKOFF, "NaCl 5.640; KCl 6.293; KBr 6.600; KI 7.066; NaF 4.634"),
    ("rock salt", WYCKOFF, "LiF 4.027; LiCl 5.130; LiH 4.083; AgCl 5.549; MgO 4.21"),
    ("rock salt", WYCKOFF, "CaO 4.8105; SrO 5.160; BaO 5.539; NiO 4.177; CoO 4.260"),
    ("rock salt", WYCKOFF, "MnO 4.445; FeO 4.307; PbS 5.936; PbSe 6.124; PbTe 6.454"),
    ("rock salt", WYCKOFF, "MgS 5.203; CaS 5.690; TiC 4.328; TiN 4.240; VN 4.128"),
    ("caesium chloride", WYCKOFF, "CsCl 4.123; CsBr 4.286; CsI 4.567; NiAl 2.887"),
    ("zincblende", CRC, "ZnS-zincblende 5.409; ZnSe 5.668; ZnTe 6.103; CdTe 6.482"),
    ("zincblende", CRC, "GaAs 5.653; GaP 5.4505; GaSb 6.096; InP 5.869; InAs 6.058"),
    ("zincblende", CRC, "InSb 6.479; AlAs 5.660; AlSb 6.1355; SiC 4.360; BN-cubic 3.615"),
    ("wurtzite", WYCKOFF, "ZnS-wurtzite 3.811 6.234 / 0.375; CdS 4.135 6.749 / 0.375"),
    ("wurtzite", WYCKOFF, "BeO 2.698 4.380 / 0.378"),
    ("wurtzite", WYCKOFF, "ZnO 3.2495 5.2069 / 0.3821"),
    ("wurtzite", NO_TABLE, "GaN 3.189 5.185 / 0.377; AlN 3.111 4.978 / 0.385"),
    ("nickel arsenide", WYCKOFF, "NiAs 3.602 5.009"),
    ("tenorite", NO_TABLE, "CuO 4.6837 3.4226 5.1288 99.54 / 0.4184"),
    ("fluorite", WYCKOFF, "CaF2 5.463; SrF2 5.800; BaF2 6.200; CeO2 5.411; UO2 5.468"),
    ("fluorite", WYCKOFF, "ThO2 5.5997; ZrO2-cubic 5.07"),
    ("antifluorite", WYCKOFF, "Li2O 4.619; Na2O 5.55; Mg2Si 6.351"),
    ("rutile", WYCKOFF, "TiO2-rutile 4.5937 2.9581 / 0.3053; SnO2 4.7373 3.1864 / 0.307"),
    ("rutile", WYCKOFF, "MgF2 4.623 3.052 / 0.303; MnO2 4.396 2.871 / 0.302"),
    ("anatase", NO_TABLE, "TiO2-anatase 3.7842 9.5146 / 0.2081"),
    ("quartz", NO_TABLE, "SiO2-quartz 4.9134 5.4052 / 0.4697"),
    ("pyrite", WYCKOFF, "FeS2 5.418 / 0.385"),
    ("molybdenite", WYCKOFF, "MoS2 3.160 12.294 / 0.621"),
    ("cadmium iodide", WYCKOFF, "CdI2 4.24 6.84 / 0.25; TiS2 3.407 5.695 / 0.25"),
    ("cuprite", WYCKOFF, "Cu2O 4.2696"),
    ("aluminium diboride", NO_TABLE, "MgB2 3.086 3.524"),
    ("corundum", WYCKOFF, "Al2O3 4.7589 12.991 / 0.3522 0.3063"),
    ("corundum", WYCKOFF, "Fe2O3 5.038 13.772 / 0.3553 0.3059"),
    ("corundum", WYCKOFF, "Cr2O3 4.9588 13.594 / 0.3475 0.3058"),
    ("tetradymite", NO_TABLE, "Bi2Te3 4.386 30.497 / 0.4000 0.2097"),
    ("rhenium trioxide", WYCKOFF, "ReO3 3.748"),
    ("hexaboride", NO_TABLE, "LaB6 4.1569 / 0.1993"),
    ("A15", NO_TABLE, "Nb3Sn 5.290; V3Si 4.722"),
    ("L1_0", NO_TABLE, "AuCu 2.804 3.673"),
    ("L1_2", NO_TABLE, "Cu3Au 3.748; Ni3Al 3.572"),
    ("perovskite", WYCKOFF, "SrTiO3 3.905; BaTiO3 4.0118; CaTiO3 3.84; KTaO3 3.989"),
    ("perovskite", WYCKOFF, "KMgF3 3.973; BaZrO3 4.193"),
    ("spinel", WYCKOFF, "MgAl2O4 8.083 / 0.3874"),
    ("magnetite", NO_TABLE, "Fe3O4 8.3969 / 0.3799"),
    ("chalcopyrite", NO_TABLE, "CuFeS2 5.289 10.423 / 0.2574"),
    ("calcite", WYCKOFF, "CaCO3 4.9896 17.061 / 0.2568"),
    ("lithium cobaltite", NO_TABLE, "LiCoO2 2.8166 14.052 / 0.260"),
    ("olivine", NO_TABLE, "LiFePO4 10.332 6.010 4.692"),
)
