"""An imitated OPTIMADE provider, and entries as one sends them."""

import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from crystalgnn_core.remote.downloads import Patience
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.optimade.source import OptimadeSource
from tests.core.web import send

QUICK = Patience(connect_seconds=2, read_seconds=2, n_tries=2, first_pause=0.01)
KIND = "application/vnd.api+json"
SALT: dict[str, Any] = {
    "lattice_vectors": [[0.0, 2.82, 2.82], [2.82, 0.0, 2.82], [2.82, 2.82, 0.0]],
    "cartesian_site_positions": [[0.0, 0.0, 0.0], [2.82, 2.82, 2.82]],
    "species_at_sites": ["Na", "Cl"],
    "species": [
        {"name": "Na", "chemical_symbols": ["Na"], "concentration": [1.0], "mass": [22.99]},
        {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [1.0]},
    ],
    "nsites": 2,
    "nperiodic_dimensions": 3,
    "dimension_types": [1, 1, 1],
    "structure_features": [],
    "last_modified": "2024-05-06T07:08:09Z",
    "immutable_id": "a-1",
}
GAP = {"band_gap": TargetColumn(column="_x_gap", label_scheme="made up")}


def entry(name, **changes):
    """Return rock salt under a name, some properties changed."""
    return {"id": name, "type": "structures", "attributes": SALT | changes}


def salts(n, start=0):
    """Return rock salt with some lattice constants, a gap for each."""
    found = []
    for i in range(start, start + n):
        scale = 1.0 + 0.001 * i
        lattice = [[scale * x for x in row] for row in SALT["lattice_vectors"]]
        found.append(entry(f"s-{i}", lattice_vectors=lattice, _x_gap=float(i % 5)))
    return found


def answer_json(content, code=200, **headers):
    """Return an answer that sends JSON."""
    body = json.dumps(content).encode()
    return lambda request: send(request, code, body, Content_Type=KIND, **headers)


class Provider:
    """Serves entries by pages, as the standard says unless told otherwise.

    Attributes:
        base: Base address without version.
        entries: What is served.
        most: Rows a page at most.
        meta: Members of `meta` that replace those of an honest answer; None removes one.
        link: Makes the next link of its address.
    """

    def __init__(self, site, entries, *, most=1000, info=None):
        self.site, self.entries, self.most = site, entries, most
        self.base = f"{site.url}/optimade"
        self.meta = {}
        self.link = lambda url: url
        site.serve("/optimade/versions", b"version\n1\n0\n", kind="text/csv")
        about = {"api_version": "1.2.0"} | (info or {})
        content = {
            "data": {"type": "info", "id": "/", "attributes": about},
            "meta": {"provider": {"name": "Imitation", "prefix": "x"}},
        }
        site.answers["/optimade/v1/info"] = answer_json(content)
        site.answers["/optimade/v1/structures"] = self.answer

    def answer(self, request):
        query = {
            name: values[0]
            for name, values in parse_qs(urlsplit(request.path).query).items()
        }
        limit = min(int(query.get("page_limit", self.most)), self.most)
        start = int(query.get("page_offset", 0))
        rest = len(self.entries) - start - limit
        more = query | {"page_offset": start + limit}
        url = f"{self.base}/v1/structures?{urlencode(more)}"
        meta = {
            "data_returned": len(self.entries),
            "more_data_available": rest > 0,
        } | self.meta
        content = {
            "data": self.entries[start : start + limit],
            "links": {"next": self.link(url) if rest > 0 else None},
            "meta": {name: value for name, value in meta.items() if value is not None},
        }
        answer_json(content)(request)

    @property
    def pages(self):
        """Queries of the pages that were asked for, without the first look at one row."""
        asked = [path for path, _ in self.site.asked if "/structures?" in path]
        return [path for path in asked if "response_fields=id&" not in path]

    def source(self, **settings):
        """Return a source that reads this provider."""
        given = {"name": "db", "url": self.base, "page_limit": 10, "patience": QUICK}
        return OptimadeSource(**(given | settings))
