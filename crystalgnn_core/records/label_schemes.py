"""Label schemes: names for how labels were computed, and the rule that they do not mix.

A scheme is free text, compared letter by letter. The constants below are the names under
which the sources of this package store labels; a text that says the same as one of them in
another spelling is refused with the right one, because it would split one scheme in two.
"""

from __future__ import annotations

import re
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from crystalgnn_core.errors import LabelSchemeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MP_2020 = "MP GGA/GGA+U MP2020"
MP_LEGACY = "MP legacy"
MP_MIXED = "MP GGA/GGA+U/r2SCAN mixed"
MP_BANDS = "MP GGA/GGA+U"
MP_ELASTIC = "MP GGA elastic tensor VRH"
MP_20 = "MP 2021 (MP-20)"
R2SCAN = "r2SCAN"
JARVIS_OPTB88VDW = "JARVIS OptB88vdW"
MBJ = "MBJ"
AFLOW_AGL = "AFLOW AGL"
ALEXANDRIA_PBE = "Alexandria PBE"
ALEXANDRIA_PBESOL = "Alexandria PBEsol"
OQMD = "OQMD"
EXPERIMENT_298K = "experiment-298K"
SYNTHETIC_PREFIX = "synthetic-"
JOINED = " + "  # between the names of schemes that were mixed on request

Family = Literal[
    "DFT, PBE", "DFT, PBEsol", "DFT, meta-GGA", "DFT, van der Waals", "model", "experiment"
]


class LabelScheme(NamedTuple):
    """A known way of computing labels.

    Attributes:
        name: The text that records carry.
        family: Of what kind the method is; numbers of one family are not on one scale.
        description: What it is, in one line.
        spellings: Other texts that mean the same, in any case and with any punctuation.
    """

    name: str
    family: Family
    description: str
    spellings: tuple[str, ...] = ()


_KNOWN = (
    LabelScheme(
        MP_2020,
        "DFT, PBE",
        "Materials Project, PBE and PBE+U on one scale by the MP2020 corrections",
        (
            "MP GGA+U/GGA MP2020",
            "MP GGA+U MP2020",
            "MP GGA MP2020",
            "MP PBE/PBE+U MP2020",
            "MP PBE+U MP2020",
            "MP PBE MP2020",
            "MP2020",
            "Materials Project GGA/GGA+U MP2020",
        ),
    ),
    LabelScheme(
        MP_LEGACY,
        "DFT, PBE",
        "Materials Project of before 2021, PBE and PBE+U with the corrections of then",
        ("Materials Project legacy", "MP legacy corrections"),
    ),
    LabelScheme(
        MP_MIXED,
        "DFT, meta-GGA",
        "Materials Project, r2SCAN where there is one, else PBE and PBE+U, on one hull",
        (
            "MP GGA/GGA+U/r2SCAN",
            "MP mixed GGA/GGA+U/r2SCAN",
            "MP r2SCAN mixed",
            "MP mixed r2SCAN",
        ),
    ),
    LabelScheme(
        MP_BANDS,
        "DFT, PBE",
        "Materials Project, PBE and PBE+U, of what no correction touches, such as gaps",
        ("MP GGA+U", "MP PBE/PBE+U", "MP PBE+U"),
    ),
    LabelScheme(
        MP_ELASTIC,
        "DFT, PBE",
        "Materials Project, Voigt-Reuss-Hill averages of the elastic tensor of PBE",
        ("MP PBE elastic tensor VRH", "MP elastic tensor VRH", "MP GGA elastic VRH"),
    ),
    LabelScheme(
        MP_20,
        "DFT, PBE",
        "the MP-20 set: PBE and PBE+U of the Materials Project of 2021",
        ("MP-20", "MP 2021 MP-20 PBE"),
    ),
    LabelScheme(
        R2SCAN,
        "DFT, meta-GGA",
        "r2SCAN without empirical corrections, such as the Materials Project's",
        ("MP r2SCAN", "meta-GGA r2SCAN"),
    ),
    LabelScheme(
        JARVIS_OPTB88VDW,
        "DFT, van der Waals",
        "JARVIS-DFT, OptB88vdW",
        ("JARVIS OptB88", "OptB88vdW", "JARVIS-DFT OptB88vdW"),
    ),
    LabelScheme(
        MBJ,
        "DFT, meta-GGA",
        "gaps of the modified Becke-Johnson potential (TB-mBJ), such as JARVIS-DFT's",
        ("TB-mBJ", "JARVIS MBJ", "JARVIS TB-mBJ"),
    ),
    LabelScheme(
        AFLOW_AGL,
        "DFT, PBE",
        "moduli of the quasi-harmonic Debye model of AFLOW-AGL, on PBE",
        ("AFLOW-AGL Debye",),
    ),
    LabelScheme(
        ALEXANDRIA_PBE,
        "DFT, PBE",
        "Alexandria, PBE and PBE+U with settings like the Materials Project's",
        ("Alexandria GGA",),
    ),
    LabelScheme(ALEXANDRIA_PBESOL, "DFT, PBEsol", "Alexandria, PBEsol"),
    LabelScheme(
        OQMD,
        "DFT, PBE",
        "Open Quantum Materials Database, PBE and PBE+U with its own references",
        ("OQMD PBE", "OQMD GGA"),
    ),
    LabelScheme(
        EXPERIMENT_298K,
        "experiment",
        "measured at 298 K, not computed",
        ("experiment at 298 K", "experimental 298K", "exp-298K", "expt 298K"),
    ),
)
LABEL_SCHEMES: Mapping[str, LabelScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in _KNOWN}
)


def describe_scheme(name: str) -> str:
    """Say in one line what a scheme is; several that are mixed one by one."""
    known = LABEL_SCHEMES.get(name)
    if known is not None:
        return f"{known.description} ({known.family})"
    if name.startswith(SYNTHETIC_PREFIX):
        return "made up by the model world of the synthetic source (model)"
    if JOINED in name:
        parts = "; ".join(describe_scheme(part) for part in name.split(JOINED))
        return f"mixed on request: {parts}"
    return "described by its name alone"


def checked_scheme(text: str) -> str:
    """Return a scheme as given, unless it is a known one in another spelling.

    Raises:
        ValueError: The text is blank, or means a known scheme whose name is another text.
    """
    if not text.strip():
        raise ValueError("a label scheme is a text that says how labels were computed")
    name = _NAME_BY_SPELLING.get(_normalised(text))
    if name is not None and name != text:
        raise ValueError(
            f"label scheme {text!r} is a known one in another spelling; write {name!r} "
            f"({LABEL_SCHEMES[name].description}), or a text of your own that cannot be "
            "taken for it"
        )
    if _normalised(text).startswith("synthetic") and not text.startswith(SYNTHETIC_PREFIX):
        raise ValueError(
            f"label scheme {text!r}: schemes of synthetic labels begin with "
            f"{SYNTHETIC_PREFIX!r}, as reports recognise them by that"
        )
    return text


# a label scheme in a configuration
SchemeName = Annotated[str, Field(min_length=1), AfterValidator(checked_scheme)]


def count_schemes(
    schemes: Iterable[str], sources: Iterable[str]
) -> dict[str, dict[str, int]]:
    """Count labels by scheme and source, given those of every label.

    Returns:
        Scheme to source to number of labels, both in alphabetical order.
    """
    counts: dict[str, dict[str, int]] = {}
    for (scheme, source), n in sorted(Counter(zip(schemes, sources, strict=True)).items()):
        counts.setdefault(scheme, {})[source] = n
    return counts


def refuse_mixture(
    target: str, counts: Mapping[str, Mapping[str, int]], *, where: str, setting: str
) -> None:
    """Refuse labels of several schemes of one target, counted by `count_schemes`.

    They would meet in `where`, such as `one training set`, which `setting` allows.

    Raises:
        LabelSchemeError: There is more than one scheme; the message says what each is,
            which sources carry it, and what to set.
    """
    if len(counts) < 2:
        return
    found = "; ".join(
        f"{scheme!r} ({describe_scheme(scheme)}): "
        + ", ".join(f"{n:,} rows of {source}" for source, n in sources.items())
        for scheme, sources in counts.items()
    )
    raise LabelSchemeError(
        f"{target}: labels of different schemes ({', '.join(counts)}) in {where}. "
        f"Their numbers are on different scales. Found {found}. Use sources of one scheme, "
        f"or set {setting}: true to take them as one"
    )


def _normalised(text: str) -> str:
    """Reduce a text to what two spellings of one scheme share: letters and digits."""
    return re.sub(r"[^a-z0-9]+", "", text.lower().replace("\N{SUPERSCRIPT TWO}", "2"))


_NAME_BY_SPELLING: Mapping[str, str] = MappingProxyType(
    {
        _normalised(spelling): scheme.name
        for scheme in _KNOWN
        for spelling in (scheme.name, *scheme.spellings)
    }
)
