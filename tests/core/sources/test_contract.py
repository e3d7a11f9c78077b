"""Every source of this package keeps the contract that one of another package keeps."""

import json

import pandas as pd
import pytest

from crystalgnn_core.contracts.sources import SourceContract
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.jarvis.source import JarvisSource
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.sources.textbook.source import (
    TEXTBOOK_NAMES,
    TextbookSource,
    textbook_structure,
)
from crystalgnn_core.sources.vasp import VaspSource
from tests.core.sources.jarvis.test_source import record
from tests.core.sources.materials_project.world import N_MATERIALS
from tests.core.sources.materials_project.world import source as materials_project
from tests.core.sources.optimade.provider import GAP, Provider, salts
from tests.core.sources.vasprun_texts import vasprun_text
from tests.core.web import running_site

NAMES = ("NaCl", "Si", "GaAs", "MgO")
COLUMNS = {"band_gap": TargetColumn(column="gap", label_scheme="PBE")}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "example"
    path.mkdir()
    return path


class TestSynthetic(SourceContract):
    source = SyntheticSource(n_structures=7, part_size=3)
    n_rows = 7


class TestTextbook(SourceContract):
    source = TextbookSource(part_size=60)
    n_rows = len(TEXTBOOK_NAMES)


class TestFolder(SourceContract):
    n_rows, n_unreadable = 5, 1

    @pytest.fixture(autouse=True)
    def _source(self, folder):
        for name in NAMES:
            textbook_structure(name).to(filename=str(folder / f"{name}.cif"))
        (folder / "cut.cif").write_text("data_cut\n_cell_length_a")
        self.source = FilesSource(name="mine", path=str(folder), part_size=2)


class TestTable(SourceContract):
    n_rows, n_unreadable = 5, 1

    @pytest.fixture(autouse=True)
    def _source(self, folder):
        texts = [textbook_structure(name).to(fmt="cif") for name in NAMES]
        frame = pd.DataFrame(
            {"id": [*NAMES, "x"], "cif": [*texts, "nothing"], "gap": range(5)}
        )
        frame.to_csv(folder / "t.csv", index=False)
        path = str(folder / "t.csv")
        self.source = FilesSource(name="mine", path=path, targets=COLUMNS, part_size=2)


class TestVasp(SourceContract):
    n_rows, n_unreadable = 3, 1

    @pytest.fixture(autouse=True)
    def _source(self, folder):
        text = vasprun_text(textbook_structure("NaCl"), -6.8)
        for name, content in ("a", text), ("b", text), ("cut", text[:-900]):
            (folder / name).mkdir()
            (folder / name / "vasprun.xml").write_text(content)
        self.source = VaspSource(
            name="runs",
            path=str(folder),
            formation_energy=None,
            label_schemes={"band_gap": "PBE"},
            part_size=2,
        )


class TestJarvis(SourceContract):
    n_rows, n_unreadable = 5, 1

    @pytest.fixture(autouse=True)
    def _source(self, folder):
        records = [record(f"JVASP-{number}") for number in range(4)]
        path = folder / "jarvis.json"
        path.write_text(json.dumps([*records, {"jid": "JVASP-9", "atoms": None}]))
        self.source = JarvisSource(path=str(path), part_size=2)


class TestMaterialsProject(SourceContract):
    n_rows, n_unreadable = N_MATERIALS, 1

    @pytest.fixture(autouse=True)
    def _source(self, service):
        service.find("mp-3")["structure"] = "torn"
        self.source = materials_project(service)


class TestOptimade(SourceContract):
    n_rows, n_unreadable = 12, 1

    @pytest.fixture(autouse=True)
    def _source(self):
        entries = [*salts(11), {"id": "torn", "type": "structures"}]
        with running_site() as site:
            provider = Provider(site, entries)
            self.source = provider.source(page_limit=3, part_size=5, targets=GAP)
            yield
