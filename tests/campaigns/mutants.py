"""Valid texts of every format, and random changes to them, each by its seed."""

import csv
import io
import json
import random
import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import ase.io
import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from tests.core.sources.vasprun_texts import vasprun_text

_ROCKSALT = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
_FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
SALT = Structure(2.8 * _FCC, ["Na", "Cl"], _ROCKSALT)
CRYSTALS = (
    SALT,
    Structure(
        Lattice.cubic(3.905),
        ["Sr", "Ti", "O", "O", "O"],
        [[0.0] * 3, [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    ),
    Structure(
        Lattice.hexagonal(3.25, 5.2),
        ["Zn", "Zn", "O", "O"],
        [
            [1 / 3, 2 / 3, 0],
            [2 / 3, 1 / 3, 0.5],
            [1 / 3, 2 / 3, 0.38],
            [2 / 3, 1 / 3, 0.88],
        ],
    ),
    Structure(
        Lattice.from_parameters(5.1, 5.2, 5.3, 90, 99.2, 90),
        ["Zr", "O", "O"],
        [[0.27, 0.04, 0.21], [0.07, 0.33, 0.34], [0.45, 0.76, 0.48]],
    ),
)
_WORDS = (
    "nan inf -inf 1e999 1e30 -1 0 -0.0 99999999999999999999 ? . '' \"\" ; # loop_ data_ "
    "data_x save_ stop_ global_ _cell_length_a _atom_site_label x,y,z x,x,x 1/0 Na+ Xx D "
    "Cg1 null true {} [] [[[]]] - + e 1(2) 0.333( (1) Selective Direct <i> </v> \\n"
)
_CHARACTERS = "é\ud800\ufeff\x00\u2028\u00a0"
_TOKENS = (*_WORDS.split(), *_CHARACTERS, "P 63/m m c", "T T F")
_NUMBER = re.compile(r"-?\d+\.?\d*")
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x", "Na", "1e5"),
    *([], {}, [[]], [None], [1, 2], {"@class": "Structure"}, {"a": {"b": 1}}),
)


class Mutant(NamedTuple):
    """A changed file: its format, name and content, and what was changed."""

    format: str
    name: str
    content: bytes
    changes: tuple[str, ...]


def make_mutant(seed: int, number: int) -> Mutant:
    """Make the mutant of a number; always the same."""
    chance = random.Random(f"{seed}-{number}")
    kind = chance.choice(list(texts()))
    name, variants = texts()[kind]
    text = chance.choice(variants)
    changes = []
    if name.endswith(".json") and chance.random() < 0.5:
        text = _change_json(chance, text)
        changes.append("value of JSON")
    for _ in range(chance.choice((0, 0, 1, 2) if changes else (1, 1, 1, 2, 4))):
        change = chance.choice(TEXT_CHANGES)
        text = change(chance, text)
        changes.append(change.__name__.strip("_").replace("_", " "))
    content = text.encode("utf-8", "surrogatepass")
    for _ in range(chance.choice((0, 0, 0, 0, 1, 2))):
        byte_change = chance.choice(BYTE_CHANGES)
        content = byte_change(chance, content)
        changes.append(byte_change.__name__.strip("_").replace("_", " "))
    return Mutant(kind, name, content, tuple(changes))


@cache
def texts() -> dict[str, tuple[str, list[str]]]:
    """Return for each format a file name, and valid texts."""
    entries = [
        ComputedStructureEntry(crystal, -3.5 * len(crystal), entry_id=f"e{n}").as_dict()
        for n, crystal in enumerate(CRYSTALS)
    ]
    documents = [
        {"material_id": f"mp-{n}", "structure": crystal.as_dict(), "band_gap": 1.5}
        for n, crystal in enumerate(CRYSTALS)
    ]
    plain = [str(CifWriter(crystal)) for crystal in CRYSTALS]
    with warnings.catch_warnings(action="ignore"):  # spglib on how its errors will change
        symmetric = [str(CifWriter(crystal, symprec=0.01)) for crystal in CRYSTALS]
    return {
        "CIF": ("a.cif", [*plain, *symmetric, "\n".join(symmetric)]),
        "POSCAR": ("POSCAR", [crystal.to(fmt="poscar") for crystal in CRYSTALS]),
        "extended XYZ": ("a.extxyz", [_extxyz()]),
        "JSON structure": ("a.json", [crystal.to_json() for crystal in CRYSTALS]),
        "JSON entries": ("a.json", [json.dumps(entries)]),
        "JSON documents": ("a.json", [json.dumps(documents)]),
        "OPTIMADE": ("a.json", [json.dumps({"data": [*map(_optimade, CRYSTALS)]})]),
        "CSV": ("a.csv", [_csv(plain), _csv(symmetric)]),
        "vasprun": ("vasprun.xml", [vasprun_text(SALT, -6.8)]),
    }


def _extxyz() -> str:
    file = io.StringIO()
    for crystal in CRYSTALS:
        atoms = AseAtomsAdaptor.get_atoms(crystal)
        atoms.info = {"gap": 1.5, "id": crystal.formula}
        ase.io.write(file, atoms, format="extxyz")
    return file.getvalue()


def _csv(cifs: list[str]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("material_id", "cif", "gap"))
    writer.writerows((f"m{n}", text, 0.5 + n) for n, text in enumerate(cifs))
    return file.getvalue()


def _optimade(crystal: Structure) -> dict[str, Any]:
    symbols = [site.specie.symbol for site in crystal]
    species = [
        {"name": symbol, "chemical_symbols": [symbol], "concentration": [1.0]}
        for symbol in dict.fromkeys(symbols)
    ]
    attributes = {
        "lattice_vectors": crystal.lattice.matrix.tolist(),
        "cartesian_site_positions": crystal.cart_coords.tolist(),
        "species": species,
        "species_at_sites": symbols,
        "dimension_types": [1, 1, 1],
        "nsites": len(crystal),
    }
    return {"id": crystal.formula, "type": "structures", "attributes": attributes}


def _change_json(chance: random.Random, text: str) -> str:
    """Drop, replace or rename a member anywhere in a tree."""
    tree = json.loads(text)
    node = tree
    for _ in range(chance.randrange(1, 9)):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = chance.choice(keys)
        if not isinstance(node[key], dict | list) or chance.random() < 0.2:
            action = chance.randrange(3)
            if action == 0:
                del node[key]
            elif action == 1 or isinstance(node, list):
                node[key] = chance.choice(_VALUES)
            else:
                node[f"{key}_"] = node.pop(key)
            break
        node = node[key]
    return json.dumps(tree)


def _spans(chance: random.Random, text: str, pattern: str) -> list[tuple[int, int]]:
    """Return two places of a pattern near each other, in order."""
    found = [match.span() for match in re.finditer(pattern, text)]
    if len(found) < 2:
        return []
    first = chance.randrange(len(found) - 1)
    return [found[first], found[chance.randrange(first + 1, min(len(found), first + 30))]]


def _drop_token(chance: random.Random, text: str) -> str:
    spans = _spans(chance, text, r"[^\s,]+")
    return text[: spans[0][0]] + text[spans[0][1] :] if spans else text


def _replace_token(chance: random.Random, text: str) -> str:
    spans = _spans(chance, text, r"[^\s,<>\"]+")
    token = chance.choice(_TOKENS)
    return text[: spans[0][0]] + token + text[spans[0][1] :] if spans else token


def _swap_tokens(chance: random.Random, text: str) -> str:
    spans = _spans(chance, text, r"[^\s,]+")
    if not spans:
        return text
    (a, b), (c, d) = spans
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def _change_number(chance: random.Random, text: str) -> str:
    spans = _spans(chance, text, _NUMBER.pattern)
    if not spans:
        return text
    start, end = spans[0]
    old = text[start:end]
    zeros = "0" * chance.randrange(1, 40)
    endings = ("e10", zeros, ".5", "x", "(3)", "/3", "*", "\u0663")
    others = (f"-{old}", old[::-1], "0", "1e-30")
    new = chance.choice((*others, *(old + ending for ending in endings)))
    return text[:start] + new + text[end:]


def _drop_line(chance: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    at = chance.randrange(len(lines) + 1)
    return "".join(lines[:at] + lines[at + chance.choice((1, 1, 1, 5)) :])


def _repeat_line(chance: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [text]
    at = chance.randrange(len(lines))
    times = chance.choice((2, 2, 2, 3, 50, 2000))
    return "".join(lines[:at] + lines[at : at + 1] * times + lines[at + 1 :])


def _swap_lines(chance: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[a], lines[b] = lines[b], lines[a]
    return "".join(lines)


def _join_lines(chance: random.Random, text: str) -> str:
    spans = _spans(chance, text, r"\r?\n")
    return text[: spans[0][0]] + " " + text[spans[0][1] :] if spans else text


def _cut_text(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _repeat_span(chance: random.Random, text: str) -> str:
    start = chance.randrange(len(text) + 1)
    span = text[start : start + chance.choice((3, 30, 300))]
    return text[:start] + span * chance.choice((2, 2, 20)) + text[start + len(span) :]


def _insert_token(chance: random.Random, text: str) -> str:
    start = chance.randrange(len(text) + 1)
    return (
        text[:start]
        + chance.choice((" ", "\n", ""))
        + chance.choice(_TOKENS)
        + text[start:]
    )


def _change_case(chance: random.Random, text: str) -> str:
    spans = _spans(chance, text, r"[A-Za-z_]+")
    if not spans:
        return text
    (start, _), (_, end) = spans
    return text[:start] + text[start:end].swapcase() + text[end:]


def _blanks(chance: random.Random, text: str) -> str:
    start = chance.randrange(len(text) + 1)
    blank = chance.choice((" ", "\t", "\n", "\r", "\u00a0"))
    return text[:start] + blank * chance.choice((1, 5, 50_000)) + text[start:]


def _flip_bit(chance: random.Random, content: bytes) -> bytes:
    if not content:
        return b"\x00"
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _insert_byte(chance: random.Random, content: bytes) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + bytes([chance.randrange(256)]) + content[start:]


def _drop_bytes(chance: random.Random, content: bytes) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + content[start + chance.choice((1, 2, 40)) :]


TEXT_CHANGES: tuple[Callable[[random.Random, str], str], ...] = (
    *(_drop_token, _replace_token, _replace_token, _swap_tokens, _change_number),
    *(_change_number, _drop_line, _repeat_line, _swap_lines, _join_lines, _cut_text),
    *(_repeat_span, _insert_token, _change_case, _blanks),
)
BYTE_CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip_bit, _insert_byte, _drop_bytes),
)
