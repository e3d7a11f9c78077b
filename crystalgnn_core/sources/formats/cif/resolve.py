"""Which crystal a CIF describes, if its symmetry and its contents agree on one.

Where it leaves several open, such as a group of two origins, the atoms decide: formula, Z
and density must fit in one of them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.checks.structure import checked_structures
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.cif.agreement import check_contents
from crystalgnn_core.sources.formats.cif.building import Built, Description, build
from crystalgnn_core.sources.formats.cif.claims import doubted_symbol
from crystalgnn_core.sources.formats.cif.closeness import are_same
from crystalgnn_core.sources.formats.cif.groups import (
    fitting,
    fixed_angles,
    has_metric,
    in_pymatgens_order,
    is_group,
    keys_of,
    number_of,
    number_of_atoms,
)
from crystalgnn_core.sources.formats.cif.order import with_noble_gases_in_order
from crystalgnn_core.sources.formats.cif.symbols import Setting, settings_of_number
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crystalgnn_core.sources.formats.cif.claims import Claim
    from crystalgnn_core.sources.formats.cif.symmetry import Operations


def resolve(found: Description) -> Crystal:
    """Build the crystal that a data block describes.

    Raises:
        RecordError: There is none, or more than one.
    """
    if found.operations is None:
        crystal = _by_name(found)
    else:
        crystal = _by_list(found, found.operations)
    return with_noble_gases_in_order(crystal)


def _by_name(found: Description) -> Crystal:
    """Take the operations from the table of groups."""
    known = [claim for claim in found.claims if claim.settings]
    if found.claims and not any(not claim.is_trivial for claim in known):
        unknown = [claim.text for claim in found.claims if not claim.settings]
        if unknown:
            raise unreadable(
                f"space group {unknown[0]} is not known, and no symmetry operations are "
                "listed; list them, or give another symbol"
            )
    if not found.claims or all(claim.is_trivial for claim in known):
        [identity] = settings_of_number(1) or []
        _refuse_open_angles(found, identity.operations)
        built = build(found, identity.operations)
        if found.hint and not found.claims and not built.is_confirmed:
            raise unreadable(
                f"{found.hint}, but neither is a space group named nor are symmetry "
                "operations listed; give either, or P 1 if all atoms are listed"
            )
        return built.crystal
    _refuse_contradictions(known)
    doubted = doubted_symbol(found.claims)
    settings = fitting(_common(known), found.lattice)
    if not settings:
        raise unreadable(
            f"space group {known[0].text} does not fit the cell; correct either, or list "
            "the symmetry operations"
        )
    for setting in settings:
        _refuse_open_angles(found, setting.operations)
    crystal = _decide(found, known[0], settings)
    contents = found.contents
    if doubted and not (contents.counts or check_contents(crystal, contents)):
        raise unreadable(
            f"space group {doubted.text} is not known, and nothing confirms "
            f"{known[0].text} beside it; list the symmetry operations, or state the formula"
        )
    return crystal


def _refuse_open_angles(found: Description, operations: Operations) -> None:
    if not set(found.unknown_angles).issubset(fixed_angles(operations)):
        raise unreadable(
            "the CIF states neither all angles of the cell nor a group that fixes them; "
            "state _cell_angle_alpha, _beta and _gamma"
        )


def _refuse_contradictions(known: Sequence[Claim]) -> None:
    for claim in known[1:]:
        if (
            0 not in known[0].numbers | claim.numbers
            and not known[0].numbers & claim.numbers
        ):
            raise unreadable(
                f"space group {known[0].text} is not that of {claim.text}, and no symmetry "
                "operations are listed; correct one of them"
            )


def _common(known: Sequence[Claim]) -> list[Setting]:
    """Return the settings that all names share, or all if symbols name different ones."""
    settings = known[0].settings
    for claim in known[1:]:
        halls = {setting.hall for setting in claim.settings}
        narrowed = [setting for setting in settings if setting.hall in halls]
        if not narrowed and claim.names_axes:
            narrowed = [*settings, *claim.settings]
        settings = narrowed or settings
    return settings


def _decide(found: Description, claim: Claim, settings: Sequence[Setting]) -> Crystal:
    """Take the one setting in which the atoms make sense."""
    built: dict[str, Built] = {}
    errors = []
    can_confirm = bool(found.contents.units or found.contents.density)
    for setting in settings:
        try:
            built[setting.name] = build(found, in_pymatgens_order(setting))
        except RecordError as error:
            errors.append(error)
        if not (can_confirm or _agree(built)):
            break
    if any(candidate.is_confirmed for candidate in built.values()):
        built = {name: one for name, one in built.items() if one.is_confirmed}
    first = next(iter(built.values()), None)
    names = ", ".join(setting.name for setting in settings)
    if first is None:
        if len(settings) == 1:
            raise errors[0]
        cause = f": {errors[0]}" if errors else ", because atoms would overlap"
        raise unreadable(
            f"the sites fit space group {claim.text} in none of {names}{cause}"
        )
    if not _agree(built):
        raise unreadable(
            f"space group {claim.text} may be {', '.join(built)} here, and the sites fit "
            "each; list the symmetry operations"
        )
    return first.crystal


def _agree(built: Mapping[str, Built]) -> bool:
    """Return whether all candidates are one crystal."""
    crystals = [candidate.crystal for candidate in built.values()]
    return all(are_same(crystals[0], other) for other in crystals[1:])


def _by_list(found: Description, operations: Operations) -> Crystal:
    """Take the listed operations, if they are those of the named group or complete."""
    if not has_metric(operations, found.lattice):
        raise unreadable(
            "the listed symmetry operations do not fit the lengths and angles of the cell; "
            "correct either"
        )
    _refuse_open_angles(found, operations)
    named = [c for c in found.claims if c.settings and not c.is_trivial]
    keys = keys_of(operations)
    if is_group(operations) and (
        not named
        or any(keys == keys_of(s.operations) for claim in named for s in claim.settings)
        or any(number_of(operations) in claim.numbers for claim in named)
    ):
        return build(found, operations).crystal
    return _by_evidence(found, operations, named)


def _by_evidence(
    found: Description, operations: Operations, named: Sequence[Claim]
) -> Crystal:
    """Decide between listed operations and a named group that contradict each other."""
    listed = error = None
    try:
        listed = build(found, operations)
    except RecordError as refusal:
        error = refusal
    others = _built_by_name(found, named)
    confirmed = [other.crystal for other in others if other.is_confirmed]
    if listed is not None and listed.is_confirmed:
        if not confirmed or any(are_same(listed.crystal, other) for other in confirmed):
            return listed.crystal
    elif confirmed and all(are_same(confirmed[0], other) for other in confirmed[1:]):
        return confirmed[0]
    elif listed is not None and is_group(operations) and not confirmed:
        if any(are_same(listed.crystal, other.crystal) for other in others):
            return listed.crystal
        # all atoms may be listed, for another origin: the group would make them overlap
        has_group = any(number_of_atoms(listed.crystal) in c.numbers for c in named)
        if has_group and not any(_is_possible(other.crystal) for other in others):
            return listed.crystal
    n_listed = len(operations.rotations)
    if not named:
        raise unreadable(
            f"the {n_listed} listed symmetry operations are no group: some are missing or "
            "wrong; list all of them"
        )
    n_named = len(named[0].settings[0].operations.rotations)
    raise unreadable(
        f"the CIF lists {n_listed} symmetry operations, but its space group "
        f"{named[0].text} has others ({n_named} on usual axes)"
        + (f"; {error}" if error else "; list all of them, or correct the space group")
    )


def _is_possible(crystal: Crystal) -> bool:
    return isinstance(checked_structures([crystal])[0], Crystal)


def _built_by_name(found: Description, named: Sequence[Claim]) -> list[Built]:
    built = []
    for setting in fitting(
        {setting: None for claim in named for setting in claim.settings}, found.lattice
    ):
        _refuse_open_angles(found, setting.operations)
        try:
            built.append(build(found, setting.operations))
        except RecordError:
            continue
    return built
