"""Settings as users give them, in YAML files and as `key=value`, laid over each other."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from crystalgnn_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


Keys = tuple[str, ...]
MOST_VALUES, MOST_BYTES = 100_000, 2**20  # of a file of settings
# behind the first: of dates and numbers that are none, and of brackets without end
_NOT_YAML = (yaml.YAMLError, ValueError, OverflowError, RecursionError)
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
# numbers of YAML 1.1 alone, such as 12:30 for 750, and those that a name may look like
_ODD_NUMBER = re.compile(r"\+|-?0[bx]|.*[_:]")


class Given(NamedTuple):
    """What a user gave, and where; later ones win.

    Attributes:
        path: File of settings, if any.
        file: Its content.
        options: Values of options of the command.
        overrides: Each `--set` with the keys that it sets.
    """

    path: str | None
    file: Mapping[str, Any]
    options: Mapping[str, Any]
    overrides: dict[str, Keys]

    def describe(self, key: Keys) -> str:
        """Name a setting and the place that gave it: an option, a `--set`, or the file."""
        dotted = ".".join(key)
        if key == ("store",) and "store" in self.options:
            return "--store"
        for override, keys in reversed(self.overrides.items()):
            if keys == key[: len(keys)]:
                return f"--set {override!r}" + (f": {dotted}" if keys != key else "")
        if key and _holds(self.options, key):
            n_named = 3 if len(key) > 2 else len(key) - key[-1].isdigit()
            name, below = key[n_named - 1], ".".join(key[3:])
            return f"--{name.removesuffix('s')}" + (f": {below}" if below else "")
        if key and not _holds(self.file, key):
            for override, keys in reversed(self.overrides.items()):
                shared = [len(start) for start in (key, key[:-1]) if start]
                if any(keys[:n] == key[:n] for n in shared):
                    return f"--set {override!r}: {dotted}"
        return (self.path or "settings") + (f": {dotted}" if key else "")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is no text, or given twice: YAML readers keep the last.

    A number in decimal digits is a number; one with a leading zero, octal in YAML 1.1 and
    decimal in YAML 1.2, is refused, and any other (12:30, 1_0, 0x1) is text as it stands.
    There may be `MOST_VALUES` values, aliases written out: a few lines can name more than
    memory holds, or themselves.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _count_values(node, {}) > MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"there are more than {MOST_VALUES:,} values, aliases written out",
                problem_mark=node.start_mark,
            )
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:  # noqa: ANN401  as the base has it
        node = super().compose_scalar_node(anchor)
        if node.style is None and node.tag.endswith((":int", ":float")):
            if _OCTAL.fullmatch(node.value):
                raise yaml.MarkedYAMLError(
                    problem=f"{node.value} has a leading zero, which makes it octal for "
                    "some readers; write it without, or in quotes where text is meant",
                    problem_mark=node.start_mark,
                )
            if _ODD_NUMBER.match(node.value):
                node.tag = self.DEFAULT_SCALAR_TAG
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401  as the base has it
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            problem = ""
            if key.value in lines:
                problem = f"is given twice, first in line {lines[key.value]}"
            elif not key.tag.endswith(":str"):
                problem = "is no text as a key; put it in quotes"
            if problem:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} {problem}", problem_mark=key.start_mark
                )
            lines[key.value] = key.start_mark.line + 1
        return node


def _count_values(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the values that a node stands for, infinitely many if it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        below: list[Any] = [] if isinstance(node, yaml.ScalarNode) else node.value
        known[id(node)] = 1 + sum(
            _count_values(one, known)
            for entry in below
            for one in (entry if isinstance(entry, tuple) else (entry,))
        )
    return known[id(node)]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of settings; an empty one holds none.

    Raises:
        ConfigError: It cannot be read, or does not hold keys and values.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path}: more than {MOST_BYTES:,} bytes; no settings are")
        content = _parse(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text (byte {error.start + 1}); save it as UTF-8"
        ) from error
    except _NOT_YAML as error:
        raise ConfigError(f"{path}: not valid YAML ({_reason(error)})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        found = "list" if isinstance(content, list) else "single value"
        raise ConfigError(f"{path}: expected keys and values, found a {found}")
    return content


def split_override(override: str) -> tuple[list[str], Any]:
    """Split `key=value` into the keys and the value, which is YAML.

    Raises:
        ConfigError: There is no key or value, or a part of the value would be lost.
    """
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r}: write key=value, e.g. training.epochs=20")
    try:
        node = yaml.compose(text, Loader=_Loader)
        value = _parse(text)
    except _NOT_YAML as error:
        raise ConfigError(
            f"--set {override[:200]!r}: the value is not valid YAML ({_reason(error)}); "
            "put text with special characters in quotes"
        ) from error
    rest = text[0 if node is None else node.end_mark.index :].strip()
    if rest.startswith("#"):
        raise ConfigError(
            f"--set {override!r}: {rest!r} is a comment in YAML and would be lost; put the "
            f"""whole value in quotes: --set '{key}="..."'"""
        )
    return key.split("."), value


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; one of another `kind` replaces the whole."""
    if "kind" in lower and upper.get("kind", lower["kind"]) != lower["kind"]:
        return dict(upper)
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def assign(content: Any, keys: list[str], value: object, override: str) -> None:  # noqa: ANN401  nested YAML
    """Set a nested value in place.

    Args:
        content: Settings, which were read for this purpose.
        keys: Names and positions that lead to the value.
        value: What is set.
        override: The words of the user.

    Raises:
        ConfigError: The keys lead nowhere.
    """
    here = content
    for key in keys[:-1]:
        here = _descend(here, key, override)
    last = keys[-1]
    if isinstance(here, list):
        here[_position(here, last, override)] = value
    elif isinstance(here, dict):
        here[_key(last, override)] = value
    else:
        raise ConfigError(f"--set {override!r}: {'.'.join(keys[:-1])} has no keys")


def _holds(content: Any, keys: Keys) -> bool:  # noqa: ANN401  nested YAML
    for key in keys:
        if isinstance(content, list) and key.isdigit() and int(key) < len(content):
            content = content[int(key)]
        elif isinstance(content, dict) and key in content:
            content = content[key]
        else:
            return False
    return True


def _parse(text: str) -> Any:  # noqa: ANN401  any YAML
    return yaml.load(text, Loader=_Loader)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1} is not allowed in YAML"
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return " ".join(str(error).partition("; use sys")[0].split())
    said = re.sub(r"'<([a-z ]+)>'", r"the \1", problem.removeprefix("but "))
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"


def _descend(here: Any, key: str, override: str) -> Any:  # noqa: ANN401  nested YAML
    if isinstance(here, list):
        return here[_position(here, key, override)]
    if isinstance(here, dict):
        below = here.setdefault(_key(key, override), {})
        if below is None:  # a key of the file without a value
            below = here[key] = {}
        return below
    raise ConfigError(f"--set {override!r}: nothing below {key!r} can be set")


def _key(key: str, override: str) -> str:
    if key.isdigit():
        raise ConfigError(
            f"--set {override!r}: there is no list in which {key} could be a position; "
            "give the list in --config FILE"
        )
    return key


def _position(items: list[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(items):
        raise ConfigError(
            f"--set {override!r}: {key!r} is no position in a list of {len(items)}; "
            "count from 0"
        )
    return int(key)
