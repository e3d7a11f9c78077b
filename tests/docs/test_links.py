"""Every link of the documentation leads somewhere, and every page can be reached."""

import ast
import re

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors_of, links_of

PACKAGES = ("crystalgnn_core", "tasks", "flows", "deployments")


def local_links(page):
    links = [link for link in links_of(page) if not re.match(r"[a-z]+:", link)]
    return [link.partition("#") for link in links]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_anchors_resolve(page):
    missing = []
    for path, _, anchor in local_links(page):
        target = (page.parent / path).resolve() if path else page
        is_known = target.exists() and (not anchor or anchor in anchors_of(target))
        if not is_known:
            missing.append(f"{path}#{anchor}")
    assert not missing


def test_every_page_is_reachable_from_the_index():
    seen, waiting = set(), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = local_links(page)
        waiting += [(page.parent / path).resolve() for path, *_ in links if path]
    assert set(DOCS.rglob("*.md")) - seen == set()


def test_every_picture_is_shown():
    shown = {
        (page.parent / path).resolve() for page in PAGES for path, *_ in local_links(page)
    }
    assert set(DOCS.rglob("*.png")) - shown == set()


def test_an_installed_package_names_no_page_that_it_lacks():
    named = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found = re.search(r"(?<![\w./])docs/|\w\.md\b(?!5)", node.value)
                    if found and "://" not in node.value:
                        named.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not named
