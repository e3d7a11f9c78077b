"""The page in a real browser, without any test-only code in the page itself."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalgnn_core.reporting.page import render_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
    "--dump-dom",
)
# Steps taken in the page; `probe` collects what they saw, and every error on the way.
DRIVER = """
const probe = { errors: [] };
console.error = (...items) => probe.errors.push(items.join(" "));
window.addEventListener("error", (event) => probe.errors.push(event.message));
window.addEventListener("unhandledrejection", (event) =>
  probe.errors.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) =>
  probe.errors.push("policy: " + event.violatedDirective));
function ids() {
  const column = Array.from(document.querySelectorAll("#table thead th"))
    .findIndex((head) => head.textContent.startsWith("Candidate"));
  return Array.from(document.querySelectorAll("#table tbody tr"), (row) =>
    row.cells[column].textContent);
}
function head(text) {
  return Array.from(document.querySelectorAll("#table thead th"))
    .find((item) => item.textContent.startsWith(text));
}
function look(name) {
  probe[name] = { ids: ids(), status: document.getElementById("status").textContent };
}
function type(text) {
  const filter = document.getElementById("filter");
  filter.value = text;
  filter.dispatchEvent(new Event("input"));
}
function steps() {
  look("start");
  head("Band gap").querySelector("button").click();
  look("ascending");
  probe.sort = head("Band gap").ariaSort + " " + head("Rank").ariaSort;
  head("Band gap").querySelector("button").click();
  look("descending");
  head("Source").querySelector("button").click();
  look("ties");
  head("Rank").querySelector("button").click();
  document.getElementById("next").click();
  look("second");
  type("Li !O");
  look("elements");
  type("no-such-thing");
  look("nothing");
  type("");
  const size = document.getElementById("page-size");
  size.value = "all";
  size.dispatchEvent(new Event("change"));
  look("all");
  const plots = Array.from(document.querySelectorAll("[data-plot]"));
  probe.plots = plots.map((plot) => plot.querySelectorAll("svg.main-svg").length > 0);
  probe.ink = getComputedStyle(document.body).color;
  probe.axis = plots[0].layout.xaxis.linecolor;
  probe.overflow = document.documentElement.scrollWidth - window.innerWidth;
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify(probe);
  document.body.append(result);
}
function wait() {
  if (document.documentElement.dataset.plots) steps();
  else setTimeout(wait, 50);
}
window.addEventListener("load", wait);
"""


def visit(page: str, folder: Path, *options: str) -> dict[str, Any]:
    """Open a page with the driver admitted by its digest, as the page's own scripts are."""
    digest = base64.b64encode(hashlib.sha256(DRIVER.encode()).digest()).decode()
    page = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    page = page.replace("<title>", f"<script>{DRIVER}</script><title>", 1)
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    assert CHROMIUM
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        *options,
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert found, f"the page was not ready in time: {done.stderr[-500:]}"
    return json.loads(html.unescape(found.group(1)))


@pytest.fixture(scope="module")
def ranking(make_report):
    ranking = make_report(n=300, n_table=60).ranking
    ranking.loc[3, "band_gap"] = np.nan
    return ranking


@pytest.fixture(scope="module")
def light(make_report, ranking, tmp_path_factory):
    page = render_report(make_report(n=300, n_table=60, ranking=ranking))
    option = "--blink-settings=preferredColorScheme=1"
    return visit(page, tmp_path_factory.mktemp("light"), option)


def test_page_runs_without_errors_and_draws_every_plot(light):
    assert light["errors"] == []
    assert len(light["plots"]) == 10
    assert all(light["plots"])


def test_table_starts_in_rank_order_one_page_at_a_time(light, ranking):
    assert light["start"]["ids"] == ranking["candidate_id"].tolist()[:25]
    assert light["start"]["status"] == "1\N{EN DASH}25 of 60"
    assert light["second"]["ids"] == ranking["candidate_id"].tolist()[25:50]
    assert light["all"]["ids"] == ranking["candidate_id"].tolist()


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_header_click_sorts_by_value_with_missing_last(light, ranking, order):
    expected = ranking.sort_values(
        "band_gap", ascending=order == "ascending", kind="stable", na_position="last"
    )
    assert light[order]["ids"] == expected["candidate_id"].tolist()[:25]


def test_sort_state_is_told_to_assistive_technology(light):
    assert light["sort"] == "ascending none"


def test_ties_keep_their_rank(light, ranking):
    assert light["ties"]["ids"] == ranking["candidate_id"].tolist()[:25]


def test_filter_finds_elements_and_not_letters(light, ranking):
    def has(formula: str, symbol: str) -> bool:
        return symbol in re.findall(r"[A-Z][a-z]?", formula)

    keep = [has(text, "Li") and not has(text, "O") for text in ranking["formula"]]
    assert light["elements"]["ids"] == ranking["candidate_id"][keep].tolist()[:25]
    assert light["nothing"] == {"ids": [], "status": "No candidate matches (of 60)"}


def test_dark_scheme_and_narrow_window(make_report, light, tmp_path):
    page = render_report(make_report(n=300, n_table=60))
    options = ("--blink-settings=preferredColorScheme=0", "--window-size=500,900")
    dark = visit(page, tmp_path, *options)
    assert dark["errors"] == []
    assert dark["ink"] != light["ink"]
    assert dark["axis"] != light["axis"]
    assert dark["overflow"] <= 0
