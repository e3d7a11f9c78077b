"""The pages of the documentation: what they link to, and the code that they show."""

import importlib.util
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
]
_NAME = re.compile(r"`([\w./-]+\.\w+)`")
_FIRST_LINE = re.compile(r"# ([\w.-]+\.\w+)\n")
_MARKER = re.compile(r"<!--\s*not run:?\s*(.*?)\s*-->", re.DOTALL)


class Block(NamedTuple):
    """A code block of a page.

    Attributes:
        line: Line of the page at which it begins, from 1.
        language: First word behind the fence.
        code: What is between the fences.
        name: File name in a paragraph of its own right above, or in a comment on the first
            line; None without one.
        skipped: Reason in a comment `<!-- not run: ... -->` right above; None without one.
    """

    line: int
    language: str
    code: str
    name: str | None
    skipped: str | None


def load_script(path: Path) -> ModuleType:
    """Import a script of the documentation, which is no package, by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # scripts beside it import it by this name
    spec.loader.exec_module(module)
    return module


def parse(page: Path) -> list[Token]:
    """Return the tokens of a page, tables read as tables."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced code blocks of a page in order."""
    blocks, above = [], ""
    for token in parse(page):
        if token.type == "fence":
            blocks.append(_block(token, above.strip()))
        if token.type in {"fence", "html_block", "inline"}:
            above = "" if token.type == "fence" else token.content
    return blocks


def _block(token: Token, above: str) -> Block:
    marker = _MARKER.fullmatch(above)
    name = _NAME.fullmatch(above) or _FIRST_LINE.match(token.content)
    return Block(
        line=(token.map or [0])[0] + 1,
        language=token.info.split()[0] if token.info.strip() else "",
        code=token.content,
        name=name.group(1) if name else None,
        skipped=marker.group(1) if marker else None,
    )


def write_named_files(page, folder):
    """Write the blocks that a page gives a file name to files of that name."""
    for block in blocks_of(page):
        if block.name is not None:
            path = folder / block.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")


def links_of(page: Path) -> set[str]:
    """Return the targets of all links and pictures of a page."""
    inline = [child for token in parse(page) for child in token.children or ()]
    found = {token.attrGet("href") or token.attrGet("src") for token in inline}
    return {str(target) for target in found if target}


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub names them."""
    anchors: set[str] = set()
    for token, content in pairwise(parse(page)):
        if token.type == "heading_open":
            children = content.children or []
            text = "".join(child.content for child in children)
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            repeats = sum(anchor.rstrip("-0123456789") == slug for anchor in anchors)
            anchors.add(f"{slug}-{repeats}" if slug in anchors else slug)
    return anchors
