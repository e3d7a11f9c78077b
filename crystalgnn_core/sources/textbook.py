"""About a hundred well-known crystals for examples and checks; no labels.

Lattice constants (angstrom) and free parameters are room-temperature values as handbooks
give them, to a few parts in a thousand; each group names where to look. CRC is the CRC
Handbook of Chemistry and Physics (structures of the elements, semiconductors, minerals),
Wyckoff is R. W. G. Wyckoff, Crystal Structures, 2nd ed. (1963-71).
"""

from __future__ import annotations

import difflib
import re
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from ase.spacegroup import crystal as ase_crystal
from pydantic import Field

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import InputError
from crystalgnn_core.records.crystal import crystal_from_structure, structure_from_crystal
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.base import LabelRequirement, SourceConfig, SourcePart
from crystalgnn_core.sources.convert import crystal_from_any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymatgen.core.structure import Structure

# space group number, then one site an orbit: the letter counts the elements of the formula,
# u and v are the free parameters of a crystal; origin choice 1 where there are two
_PROTOTYPES = {
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

# prototype, where the numbers are from, `name a [b] [c] [beta] / u [v]` of each crystal
_CRYSTALS = (
    ("fcc", "CRC", "Al 4.0496; Cu 3.6149; Ag 4.0857; Au 4.0782; Ni 3.5240; Pt 3.9242"),
    ("fcc", "CRC", "Pd 3.8907; Pb 4.9502; Ca 5.5884"),
    ("bcc", "CRC", "Fe 2.8665; W 3.1652; Mo 3.1470; V 3.0240; Nb 3.3004; Ta 3.3030"),
    ("bcc", "CRC", "Na 4.2906; Cr 2.8848"),
    (
        "hcp",
        "CRC",
        "Mg 3.2094 5.2107; Ti 2.9508 4.6855; Zn 2.6649 4.9468; Co 2.5071 4.0695",
    ),
    ("hcp", "CRC", "Zr 3.2316 5.1475; Be 2.2858 3.5843; Cd 2.9793 5.6181"),
    ("diamond", "CRC", "C-diamond 3.567; Si 5.43; Ge 5.658"),
    ("bismuth", "Wyckoff", "Bi 4.546 11.862 / 0.2339; Sb 4.307 11.273 / 0.2336"),
    ("tellurium", "Cherin, Unger, Acta Cryst. 23, 670 (1967)", "Te 4.456 5.921 / 0.2636"),
    ("white tin", "CRC", "Sn-white 5.8318 3.1819"),
    ("graphite", "CRC", "C-graphite 2.4612 6.7079"),
    ("boron nitride", "Pease, Acta Cryst. 5, 356 (1952)", "BN-hexagonal 2.5040 6.6612"),
    ("rock salt", "Wyckoff; CRC", "NaCl 5.640; KCl 6.293; KBr 6.600; KI 7.066; NaF 4.634"),
    ("rock salt", "Wyckoff; CRC", "LiF 4.027; LiCl 5.130; LiH 4.083; AgCl 5.549; MgO 4.21"),
    ("rock salt", "Wyckoff; CRC", "CaO 4.8105; SrO 5.160; BaO 5.539; NiO 4.177; CoO 4.260"),
    (
        "rock salt",
        "Wyckoff; CRC",
        "MnO 4.445; FeO 4.307; PbS 5.936; PbSe 6.124; PbTe 6.454",
    ),
    ("rock salt", "Wyckoff; CRC", "MgS 5.203; CaS 5.690; TiC 4.328; TiN 4.240; VN 4.128"),
    ("caesium chloride", "Wyckoff", "CsCl 4.123; CsBr 4.286; CsI 4.567; NiAl 2.887"),
    ("zincblende", "CRC", "ZnS-zincblende 5.409; ZnSe 5.668; ZnTe 6.103; CdTe 6.482"),
    ("zincblende", "CRC", "GaAs 5.653; GaP 5.4505; GaSb 6.096; InP 5.869; InAs 6.058"),
    (
        "zincblende",
        "CRC",
        "InSb 6.479; AlAs 5.660; AlSb 6.1355; SiC 4.360; BN-cubic 3.615",
    ),
    ("wurtzite", "Wyckoff", "ZnS-wurtzite 3.811 6.234 / 0.375; CdS 4.135 6.749 / 0.375"),
    ("wurtzite", "Wyckoff", "BeO 2.698 4.380 / 0.378"),
    (
        "wurtzite",
        "Kihara, Donnay, Can. Mineral. 23, 647 (1985)",
        "ZnO 3.2495 5.2069 / 0.3821",
    ),
    (
        "wurtzite",
        "Schulz, Thiemann, Solid State Commun. 23, 815 (1977)",
        "GaN 3.189 5.185 / 0.377; AlN 3.111 4.978 / 0.385",
    ),
    ("nickel arsenide", "Wyckoff", "NiAs 3.602 5.009"),
    (
        "tenorite",
        "Asbrink, Norrby, Acta Cryst. B26, 8 (1970)",
        "CuO 4.6837 3.4226 5.1288 99.54 / 0.4184",
    ),
    ("fluorite", "Wyckoff", "CaF2 5.463; SrF2 5.800; BaF2 6.200; CeO2 5.411; UO2 5.468"),
    ("fluorite", "Wyckoff", "ThO2 5.5997; ZrO2-cubic 5.07"),
    ("antifluorite", "Wyckoff", "Li2O 4.619; Na2O 5.55; Mg2Si 6.351"),
    ("rutile", "Wyckoff", "TiO2-rutile 4.5937 2.9581 / 0.3053; SnO2 4.7373 3.1864 / 0.307"),
    ("rutile", "Wyckoff", "MgF2 4.623 3.052 / 0.303; MnO2 4.396 2.871 / 0.302"),
    (
        "anatase",
        "Horn et al., Z. Krist. 136, 273 (1972)",
        "TiO2-anatase 3.7842 9.5146 / 0.2081",
    ),
    (
        "quartz",
        "Levien et al., Am. Mineral. 65, 920 (1980)",
        "SiO2-quartz 4.9134 5.4052 / 0.4697",
    ),
    ("pyrite", "CRC", "FeS2 5.418 / 0.385"),
    ("molybdenite", "Wyckoff", "MoS2 3.160 12.294 / 0.621"),
    ("cadmium iodide", "Wyckoff", "CdI2 4.24 6.84 / 0.25; TiS2 3.407 5.695 / 0.25"),
    ("cuprite", "Wyckoff", "Cu2O 4.2696"),
    ("aluminium diboride", "Nagamatsu et al., Nature 410, 63 (2001)", "MgB2 3.086 3.524"),
    ("corundum", "Wyckoff", "Al2O3 4.7589 12.991 / 0.3522 0.3063"),
    (
        "corundum",
        "Blake et al., Am. Mineral. 51, 123 (1966)",
        "Fe2O3 5.038 13.772 / 0.3553 0.3059",
    ),
    ("corundum", "CRC", "Cr2O3 4.9588 13.594 / 0.3475 0.3058"),
    (
        "tetradymite",
        "Nakajima, J. Phys. Chem. Solids 24, 479 (1963)",
        "Bi2Te3 4.386 30.497 / 0.4000 0.2097",
    ),
    ("rhenium trioxide", "Wyckoff", "ReO3 3.748"),
    ("hexaboride", "NIST SRM 660", "LaB6 4.1569 / 0.1993"),
    ("A15", "Wyckoff", "Nb3Sn 5.290; V3Si 4.722"),
    ("L1_0", "Pearson, Lattice Spacings of Metals (1958)", "AuCu 2.804 3.673"),
    ("L1_2", "Pearson, Lattice Spacings of Metals (1958)", "Cu3Au 3.748; Ni3Al 3.572"),
    ("perovskite", "Wyckoff", "SrTiO3 3.905; BaTiO3 4.0118; CaTiO3 3.84; KTaO3 3.989"),
    ("perovskite", "Wyckoff", "KMgF3 3.973; BaZrO3 4.193"),
    ("spinel", "Wyckoff", "MgAl2O4 8.083 / 0.3874"),
    ("magnetite", "Fleet, Acta Cryst. B37, 917 (1981)", "Fe3O4 8.3969 / 0.3799"),
    (
        "chalcopyrite",
        "Hall, Stewart, Acta Cryst. B29, 579 (1973)",
        "CuFeS2 5.289 10.423 / 0.2574",
    ),
    ("calcite", "CRC", "CaCO3 4.9896 17.061 / 0.2568"),
    (
        "lithium cobaltite",
        "Orman, Wiseman, Acta Cryst. C40, 12 (1984)",
        "LiCoO2 2.8166 14.052 / 0.260",
    ),
    (
        "olivine",
        "Streltsov et al., Acta Cryst. B49, 147 (1993)",
        "LiFePO4 10.332 6.010 4.692",
    ),
)
_ROWS = {
    entry.split()[0]: (prototype, source, entry)
    for prototype, source, entries in _CRYSTALS
    for entry in entries.split("; ")
}
TEXTBOOK_NAMES: tuple[str, ...] = tuple(_ROWS)


class TextbookSource(SourceConfig):
    """The embedded crystals, without labels: never a training or hull set."""

    trainable: ClassVar[bool] = False
    kind: Literal["textbook"] = "textbook"
    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")] = "textbook"
    require_labels: LabelRequirement = "none"

    def target_names(self) -> tuple[str, ...]:
        """Name no target: the crystals carry no labels."""
        return ()

    def parts(self) -> list[SourcePart]:
        """List the parts, `part_size` crystals each."""
        starts = range(0, len(TEXTBOOK_NAMES), self.part_size)
        groups = [list(TEXTBOOK_NAMES[at : at + self.part_size]) for at in starts]
        return [
            SourcePart(
                index=index, digest=self._digest_of(group), payload={"material_ids": group}
            )
            for index, group in enumerate(groups)
        ]

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield the crystals of a part."""
        for name in part.payload["material_ids"]:
            crystal = crystal_from_structure(textbook_structure(name))
            version = self._digest_of([name])
            yield RawRecord(name, crystal, source_version=version)

    def _digest_of(self, names: list[str]) -> str:
        rows = [(_ROWS[name], _PROTOTYPES[_ROWS[name][0]]) for name in names]
        return digest_of([self.name, rows])


def textbook_structure(name: str) -> Structure:
    """Build the primitive cell of a textbook crystal.

    Args:
        name: One of `TEXTBOOK_NAMES`, such as `SrTiO3` or `TiO2-rutile`.

    Raises:
        InputError: There is no such crystal; the message names similar ones.
    """
    if name not in _ROWS:
        lowered = {known.lower(): known for known in TEXTBOOK_NAMES}
        close = difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.4)
        similar = ", ".join(lowered[match] for match in close) or "SrTiO3, Si, NaCl"
        raise InputError(
            f"no textbook crystal {name!r}; similar names are {similar} "
            f"({len(TEXTBOOK_NAMES)} in TEXTBOOK_NAMES)"
        )
    return _build(name).copy()


def textbook_reference(name: str) -> str:
    """Tell where the numbers of a textbook crystal are from."""
    textbook_structure(name)
    return _ROWS[name][1]


@cache
def _build(name: str) -> Structure:
    prototype, _, entry = _ROWS[name]
    number, sites = _PROTOTYPES[prototype]
    cell, _, free = entry.removeprefix(name).partition("/")
    values = dict(zip("uv", free.split(), strict=False))
    elements = dict(
        zip("ABCD", re.findall("[A-Z][a-z]?", name.partition("-")[0]), strict=False)
    )
    orbits = [site.split() for site in sites.split("; ")]
    # ASE reads its table of space groups; Structure.from_spacegroup multiplies the symmetry
    # operations out again for every crystal, 2 s for a face-centred one
    atoms = ase_crystal(
        [elements[letter] for letter, *_ in orbits],
        [[float(Fraction(values.get(x, x))) for x in place] for _, *place in orbits],
        spacegroup=number,
        cellpar=_cell_parameters(number, [float(length) for length in cell.split()]),
        primitive_cell=True,
    )
    return structure_from_crystal(crystal_from_any(atoms))


def _cell_parameters(number: int, given: list[float]) -> list[float]:
    """Complete the free parameters of a conventional cell: a, b, c, alpha, beta, gamma."""
    beta, gamma = 90.0, 120.0 if 143 <= number < 195 else 90.0
    if number < 16:
        *given, beta = given
    a, b, c = given if len(given) == 3 else (given[0], given[0], given[-1])
    return [a, b, c, 90.0, beta, gamma]
