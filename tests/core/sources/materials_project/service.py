"""An imitation of the Materials Project's service on 127.0.0.1, for tests.

Routes, parameters, headers and envelope are those that the client of mp-api 0.46.5 sends
and reads; paging, sorting and their limits follow the service's published code. Parameters
that it does not know are refused, so that a slip in a name fails a test.
"""

import json
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.core.web import running_site, send

KEY = "0123456789abcdefGHIJKLMNOPQRSTUV"
MAX_LIMIT = 1000
COMMON = {"_fields", "_limit", "_skip", "_page", "_per_page", "_sort_fields", "_all_fields"}
KNOWN = {
    "summary": COMMON
    | {"material_ids", "deprecated", "chemsys", "formula", "elements", "exclude_elements"}
    | {"nelements_min", "nelements_max", "nsites_min", "nsites_max", "has_props"}
    | {"theoretical"},
    "thermo": COMMON | {"material_ids", "thermo_types"},
}


class Request(NamedTuple):
    """A request that was answered with documents.

    Attributes:
        route: `summary` or `thermo`.
        query: Its parameters.
        ids: Ids of the documents sent.
    """

    route: str
    query: dict[str, str]
    ids: list[str | None]

    @property
    def fields(self):
        return set(self.query["_fields"].split(","))


class Service:
    """What the service holds, and what it was asked.

    Attributes:
        documents: Route to documents.
        release: Version of the database.
        restricted: Batches under terms of their own.
        max_address: Longest path with parameters, in bytes.
        requests: Requests that were answered with documents, in order.
        faults: Route (or `heartbeat`) to answers that come before the right one.
        before: Called with route and parameters of each request before it is answered.
    """

    def __init__(self, site):
        self.site = site
        self.endpoint = f"{site.url}/"
        self.documents: dict[str, list[Any]] = {"summary": [], "thermo": []}
        self.release = "2026.01"
        self.restricted = ["gnome_r2scan_statics"]
        self.max_address = 8192
        self.requests = []
        self.faults: dict[str, list[Any]] = {"heartbeat": [], "summary": [], "thermo": []}
        self.before = nothing
        site.answers["/heartbeat"] = self._heartbeat
        site.answers["/materials/summary/"] = lambda r: self._search(r, "summary")
        site.answers["/materials/thermo/"] = lambda r: self._search(r, "thermo")

    @property
    def structures_sent(self):
        """Ids of the materials whose structures were sent, in order."""
        return [
            name
            for request in self.requests
            if "structure" in request.query["_fields"].split(",")
            for name in request.ids
        ]

    def forget(self):
        """Forget what was asked so far."""
        self.requests.clear()
        self.site.asked.clear()

    def find(self, name, route="summary"):
        """Return the document of a material, to change it."""
        return next(d for d in self.documents[route] if d["material_id"] == name)

    def _heartbeat(self, request):
        if self.faults["heartbeat"]:
            self.faults["heartbeat"].pop(0)(request)
            return
        answer(
            request,
            {
                "status": "OK",
                "version": "0.87.3",
                "db_version": self.release,
                "suffix": "blue",
                "access_controlled_batch_ids": self.restricted,
            },
        )

    def _search(self, request, route):
        query = {
            name: values[0]
            for name, values in parse_qs(urlsplit(request.path).query).items()
        }
        self.before(route, query)
        key = request.headers.get("x-api-key")
        if self.faults[route]:
            self.faults[route].pop(0)(request)
        elif key is None:
            answer(request, {"message": "No API key found in request"}, 401)
        elif key != KEY:
            answer(request, {"detail": f"{key} is no key"}, 403)
        elif len(request.path) > self.max_address:
            send(request, 414, b"<html>Request-URI Too Large</html>")
        elif unknown := set(query) - KNOWN[route]:
            answer(request, {"detail": f"cannot be used: {sorted(unknown)}"}, 404)
        else:
            self._send_documents(request, route, query)

    def _send_documents(self, request, route, query):
        found = [doc for doc in self.documents[route] if fits(doc, query)]
        for name in reversed(query.get("_sort_fields", "").split(",")):
            found.sort(key=partial(sorting_key, name))
        if "_page" in query:
            limit = int(query.get("_per_page", 100))
            skip = max(int(query["_page"]) - 1, 0) * limit
        else:
            limit, skip = int(query.get("_limit", 100)), int(query.get("_skip", 0))
        if limit > MAX_LIMIT:
            detail = f"The max limit is {MAX_LIMIT} entries"
            answer(request, {"detail": detail}, 400)
            return
        fields = query.get("_fields", "material_id").split(",")
        page = found[skip : skip + limit]
        self.requests.append(Request(route, query, [doc["material_id"] for doc in page]))
        data = [{name: doc[name] for name in fields if name in doc} for doc in page]
        meta = {"api_version": "0.87.3", "total_doc": len(found), "max_limit": MAX_LIMIT}
        answer(request, {"data": data, "meta": meta})


def sorting_key(field, document):
    """Return what documents are sorted by; those without the field come first."""
    return str(document.get(field) or "")


def nothing(route, query):
    """Do nothing before a request is answered."""


def answer(request, content, code=200):
    body = json.dumps(content).encode()
    send(request, code, body, Content_Type="application/json")


def fault(code, body=b"{}", **headers):
    """Return an answer that refuses."""
    return lambda request: send(request, code, body, **headers)


def cut(request):
    """Promise more than is sent, and close the connection."""
    send(request, 200, b'{"data": [', announced=5000)


def fits(document, query):
    """Tell whether a document meets the conditions of a query."""
    symbols = {species["element"] for species in species_of(document)}
    n_sites = len(sites_of(document))
    tests = {
        "material_ids": lambda v: document["material_id"] in v.split(","),
        "deprecated": lambda v: bool(document.get("deprecated")) == (v == "True"),
        "theoretical": lambda v: bool(document.get("theoretical")) == (v == "True"),
        "thermo_types": lambda v: document["thermo_type"] in v.split(","),
        "chemsys": lambda v: "-".join(sorted(symbols)) in v.split(","),
        "formula": lambda v: document.get("formula_pretty") in v.split(","),
        "elements": lambda v: set(v.split(",")) <= symbols,
        "exclude_elements": lambda v: not set(v.split(",")) & symbols,
        "nelements_min": lambda v: len(symbols) >= int(v),
        "nelements_max": lambda v: len(symbols) <= int(v),
        "nsites_min": lambda v: n_sites >= int(v),
        "nsites_max": lambda v: n_sites <= int(v),
        "has_props": lambda v: set(v.split(",")) <= set(document.get("has_props") or ()),
    }
    return all(tests[name](value) for name, value in query.items() if name in tests)


def sites_of(document):
    structure = document.get("structure")
    return structure.get("sites", ()) if isinstance(structure, dict) else ()


def species_of(document):
    """Return the species of all sites of a summary document."""
    return [species for site in sites_of(document) for species in site["species"]]


@contextmanager
def running_service():
    with running_site() as site:
        yield Service(site)


def structure_of(crystal):
    """Return a structure in the form of pymatgen, as the service sends it."""
    from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL

    symbols = {number: symbol for symbol, number in NUMBER_OF_SYMBOL.items()}
    pairs = zip(crystal.atomic_numbers.tolist(), crystal.frac_coords.tolist(), strict=True)
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": crystal.lattice.tolist()},
        "sites": [
            {"species": [{"element": symbols[number], "occu": 1}], "abc": place}
            for number, place in pairs
        ],
    }


def material(number, crystal, **changes):
    """Return a summary document, and the thermodynamic one of each kind of hull."""
    name = f"mp-{number}"
    summary = {
        "material_id": name,
        "last_updated": "2025-11-03T10:20:30.456000",
        "deprecated": False,
        "builder_meta": {
            "license": "BY-C",
            "database_version": "2025.11",
            "batch_id": None,
        },
        "structure": structure_of(crystal),
        "band_gap": 0.5 + number / 1000,
        "efermi": 1.25,
        "is_metal": False,
        "bulk_modulus": {"voigt": 101.0, "reuss": 99.0, "vrh": 100.0},
        "shear_modulus": {"voigt": 51.0, "reuss": 49.0, "vrh": 50.0},
        "homogeneous_poisson": 0.25,
        "formation_energy_per_atom": -9.0,  # of the mixed hull, to be told apart
        "energy_above_hull": 0.9,
        **changes,
    }
    energies = {"GGA_GGA+U": -1.0, "r2SCAN": -1.5}
    thermo = [
        {
            "material_id": name,
            "thermo_type": kind,
            "formation_energy_per_atom": energy - number / 1000,
            "energy_above_hull": 0.125,
            "energy_type": "GGA+U" if kind == "GGA_GGA+U" else "r2SCAN",
        }
        for kind, energy in energies.items()
    ]
    return summary, thermo
