"""Write the pages of the reference that follow from the code.

python docs/generate.py

`reference/configuration.md` comes from the configuration classes (fields, defaults, bounds
and the `Attributes:` of their docstrings), `reference/command-line.md` from the commands.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import griffe
import typer.cli
import typer.main

from crystalgnn_core.base import FrozenModel, kind_of
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.sources.base import SourceConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

REFERENCE = Path(__file__).parent / "reference"
INTRODUCTION = """# Configuration

<!-- written by `python docs/generate.py`; change the docstrings of the classes instead -->

All settings form one tree. A key that does not exist is refused, and so is a value of the
wrong type or outside its bounds; the message names the key. Later values win:

```text
class default < recipe < --config FILE < options < --set, --store < Prefect parameters
```

* Mappings are merged key by key, lists are replaced. A mapping of another `kind` replaces
  the whole mapping below it.
* A [recipe](../guides/choosing-a-model.md#recipes) is named by `--recipe`, or by `recipe`
  at the top of the file. Settings without a `model` and a `recipe` take `default`. The
  defaults below are those of the classes, which `recipe: null` asks for.
* `--config` takes a path, or the name of a shipped file (`demo`).
* `--set key=value` may be repeated. Keys are dotted, list items are counted from 0, values
  are YAML: `--set sources.0.part_size=500 --set 'screening.score.gap_window=[2.0, 4.0]'`.
  Text that YAML would take for something else goes in quotes: `--set 'store="2026-11-25"'`.
  A whole number with a leading zero (`010`) is refused; `12:30`, `1_0` and `0x1` are text.
  Options such as `--store` and `--path` are taken as they stand.
* `null` in YAML is none.
* Relative paths count from the working directory of the command, and `~` is expanded.
* No setting holds a secret: `MP_API_KEY` and `PREFECT_API_KEY` come from the environment.
  `crystalgnn serve` stores the configuration in the database of Prefect, so keep keys out.
* `predict`, `evaluate`, `models` and most of `records` read no configuration. They take
  `--store`.

Complete examples: [your own files](../guides/own-files.md),
[databases](../guides/databases.md), [VASP runs](../guides/vasp.md).
"""
TABLE = "| key | type | default | meaning |\n|---|---|---|---|"
PATTERNS = {r"^[A-Za-z0-9._-]+$": "letters, digits, `.`, `_`, `-`"}
SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
TYPES = {"string": "text", "integer": "integer", "number": "number", "null": "none"}
TYPES["boolean"] = "true, false"


def main() -> None:
    """Write the generated pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the content of each generated page by file name."""
    return {"configuration.md": configuration(), "command-line.md": command_line()}


def command_line() -> str:
    """Describe every command as typer does, without what each of them repeats."""
    from deployments.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="crystalgnn")
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="crystalgnn")
    text = text.replace("* `--help`: Show this message and exit.\n", "")
    text = text.replace("**Options**:\n\n\n", "").replace("```console\n$ ", "```text\n")
    note = "<!-- written by `python docs/generate.py`; change the commands instead -->"
    text = text.replace("# `crystalgnn`\n", f"# Command line\n\n{note}\n", 1)
    return text.rstrip() + "\n"


def configuration() -> str:
    """Describe every key of the configuration."""
    fields = PipelineConfig.model_fields
    parts = [INTRODUCTION, "## Top level", _table(PipelineConfig, expand=False)]
    shared = _shared_classes()
    for key, field in fields.items():
        classes = _models_in(field.annotation)
        if not classes:
            continue
        parts.append(f"## {key}")
        if len(classes) == 1:
            parts += [_introduction(classes[0]), _table(classes[0], shared=shared)]
            continue
        if issubclass(classes[0], SourceConfig):
            parts += ["Keys of every source:", _table(SourceConfig)]
        for cls in sorted(classes, key=kind_of):
            parts += [f"### {key}, kind: {kind_of(cls)}", _introduction(cls)]
            parts.append(_table(cls, shared=shared, is_kind=True))
    parts.append("## Shared mappings")
    for cls in shared:
        parts += [f"### {cls.__name__}", _introduction(cls), _table(cls, shared=shared)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _table(
    cls: type[FrozenModel],
    *,
    shared: tuple[type[FrozenModel], ...] = (),
    expand: bool = True,
    is_kind: bool = False,
) -> str:
    rows = list(_rows(cls, "", shared=shared, expand=expand, is_kind=is_kind))
    return "\n".join([TABLE, *rows]) if rows else "It has no keys of its own."


def _rows(
    cls: type[FrozenModel],
    prefix: str,
    *,
    shared: tuple[type[FrozenModel], ...],
    expand: bool = True,
    is_kind: bool = False,
) -> Iterator[str]:
    meanings, schema = _attributes(cls), cls.model_json_schema()
    for name, field in cls.model_fields.items():
        if is_kind and (name == "kind" or _is_inherited(name, field)):
            continue
        key, meaning = prefix + name, meanings.get(name, "")
        models = _models_in(field.annotation)
        inner = models[0] if len(models) == 1 and expand else None
        if inner in shared and inner is not None:
            meaning += f" Keys: [{inner.__name__}](#{inner.__name__.lower()})."
        is_optional = type(None) in get_args(field.annotation)
        if inner is None or inner in shared or is_optional or _is_mapping(field):
            kind = _type_of(schema["properties"][name], schema.get("$defs", {}))
            row = (f"`{key}`", kind, _default_of(field), meaning)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        if inner is not None and inner not in shared:
            below = f"{key}.<name>." if _is_mapping(field) else f"{key}."
            yield from _rows(inner, below, shared=shared)


def _is_inherited(name: str, field: FieldInfo) -> bool:
    """Return whether a field is one of every source, with the same default."""
    base = SourceConfig.model_fields.get(name)
    return base is not None and base.default == field.default


def _is_mapping(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is dict


def _shared_classes() -> tuple[type[FrozenModel], ...]:
    """Return the classes that several fields of the tree have."""
    counts: Counter[type[FrozenModel]] = Counter()
    waiting: list[type[FrozenModel]] = [PipelineConfig]
    seen = set(waiting)
    while waiting:
        for field in waiting.pop().model_fields.values():
            classes = _models_in(field.annotation)
            counts.update(classes)
            new = [cls for cls in classes if cls not in seen]
            seen.update(new)
            waiting += new
    names = sorted(cls.__name__ for cls, count in counts.items() if count > 1)
    return tuple(cls for name in names for cls in counts if cls.__name__ == name)


def _models_in(annotation: Any) -> list[type[FrozenModel]]:  # noqa: ANN401  any annotation
    """Return the configuration classes inside an annotation, in order."""
    if isinstance(annotation, type) and issubclass(annotation, FrozenModel):
        return [annotation]
    found = [cls for part in get_args(annotation) for cls in _models_in(part)]
    return list(dict.fromkeys(found))


def _sections(cls: type[FrozenModel]) -> list[griffe.DocstringSection]:
    docstring = griffe.Docstring(inspect.cleandoc(cls.__doc__ or ""))
    return docstring.parse("google")


def _introduction(cls: type[FrozenModel]) -> str:
    texts = [part.value for part in _sections(cls) if part.kind.value == "text"]
    return "\n\n".join(texts)


def _attributes(cls: type[FrozenModel]) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, FrozenModel):
            for part in _sections(base):
                if part.kind.value == "attributes":
                    found |= {x.name: " ".join(x.description.split()) for x in part.value}
    return found


def _type_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Put the JSON schema of a value into a few words."""
    if reference := schema.get("$ref"):
        schema = definitions[reference.rsplit("/", 1)[-1]] | {"default": None}
    if "const" in schema or "enum" in schema:
        names = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{name}`" for name in names)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        names = [_type_of(choice, definitions) for choice in choices]
        return ", or ".join(dict.fromkeys(names))
    if "prefixItems" in schema:
        return f"{len(schema['prefixItems'])} numbers"
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items') or {}, definitions)}"
    pattern = PATTERNS.get(schema.get("pattern", ""))
    return (pattern or TYPES.get(schema.get("type", ""), "mapping")) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    found = [f"{sign} {schema[key]}" for key, sign in SIGNS.items() if key in schema]
    return f" {', '.join(found)}" if found else ""


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, FrozenModel):
        given = value.model_dump(exclude_defaults=True)
        return ", ".join(f"{key} {_shown(other)}" for key, other in given.items())
    return _shown(value)


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if value in ((), {}, ""):
        return "empty"
    if isinstance(value, tuple):
        return ", ".join(_shown(entry) for entry in value)
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    main()
