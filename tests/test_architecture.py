"""The direction of imports, and what every module must have."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter

import pytest

from tests.paths import ROOT

LAYERS = ("crystalgnn_core", "tasks", "flows", "deployments")  # each imports to its left
STAGES = (
    "storage",
    "remote",
    "records",
    "sources",
    "graphs",
    "models",
    "learning",
    "screening",
    "reporting",
    "maintenance",
    "contracts",
)
COMPOSING = {"crystalgnn_core", "crystalgnn_core.config"}  # may import every stage
MAX_LINES, MAX_BODY, MAX_FILES = 280, 40, 25
MAX_CORE_LINES = 51_000  # each capability is weighed against its size


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path
    for layer in LAYERS
    for path in sorted((ROOT / layer).rglob("*.py"))
}
CORE = [name for name in FILES if name.split(".")[0] == "crystalgnn_core"]


def imports_of(name):
    """Return every imported module, also inside functions and TYPE_CHECKING blocks."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{name}: relative import"
            assert node.level == 0, f"{name}: relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def imported_at_run_time(name):
    """Return the modules of core that are really loaded, also by imports in functions."""

    def names(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.ImportFrom) and child.module:
                for alias in child.names:
                    module = f"{child.module}.{alias.name}"
                    yield module if module in FILES else child.module
            yield from names(child)

    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    return {module for module in names(tree) if module in CORE}


def room(name):
    """Return the folder of a module, or the module where its folder holds folders."""
    folder = FILES[name].parent
    has_folders = any((child / "__init__.py").exists() for child in folder.iterdir())
    return name if has_folders else module_name(folder / "__init__.py")


def stage(name):
    parts = name.split(".")
    is_core = parts[0] == "crystalgnn_core"
    return parts[1] if is_core and len(parts) > 1 and parts[1] in STAGES else None


def test_the_tree_was_found():
    assert len(CORE) > 30
    folders = {path.name for path in (ROOT / "crystalgnn_core").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == set(STAGES)


@pytest.mark.parametrize("name", FILES)
def test_layers_import_inwards_only(name):
    rank = LAYERS.index(name.split(".")[0])
    outer = LAYERS[rank + 1 :]
    assert not {module for module in imports_of(name) if module.split(".")[0] in outer}


@pytest.mark.parametrize("name", CORE)
def test_core_never_imports_prefect(name):
    assert not {module for module in imports_of(name) if module.split(".")[0] == "prefect"}


@pytest.mark.parametrize("name", CORE)
def test_stages_import_earlier_stages_only(name):
    if name in COMPOSING:
        return
    own = stage(name)
    allowed = STAGES[: STAGES.index(own) + 1] if own else ()
    used = {stage(module) for module in imports_of(name)} - {None}
    assert used <= set(allowed)
    assert not imports_of(name) & COMPOSING


def test_no_two_rooms_import_each_other_at_run_time():
    rooms: dict[str, set[str]] = {}
    for name in CORE:
        used = {room(module) for module in imported_at_run_time(name)} - {room(name)}
        rooms.setdefault(room(name), set()).update(used)
    assert len(rooms) > 40
    TopologicalSorter(rooms).prepare()  # raises CycleError and names the circle


def test_files_and_folders_stay_small():
    """A file, a function or a folder that outgrows this holds a second idea: split it."""
    n_lines = {
        name: path.read_text(encoding="utf-8").count("\n") for name, path in FILES.items()
    }
    assert {name: n for name, n in n_lines.items() if n > MAX_LINES} == {}
    folders = Counter(path.parent for path in FILES.values())
    assert {str(path): n for path, n in folders.items() if n > MAX_FILES} == {}
    assert sum(n_lines[name] for name in CORE) <= MAX_CORE_LINES
    long = {
        f"{name}.{node.name}": lines_of_body(node)
        for name, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and lines_of_body(node) > MAX_BODY
    }
    assert long == {}


def lines_of_body(function):
    """Count the lines of a function without its docstring."""
    first, *rest = function.body
    if ast.get_docstring(function) is not None:
        first = rest[0] if rest else first
    return function.end_lineno - first.lineno + 1


@pytest.mark.parametrize("name", [name for name in FILES if FILES[name].stat().st_size])
def test_module_says_what_it_is(name):
    assert ast.get_docstring(ast.parse(FILES[name].read_text(encoding="utf-8")))


def loaded_by(names, package):
    """Return the modules of a package that importing the names loads, in a new process."""
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in sys.modules if name.split('.')[0] == {package!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ast.literal_eval(done.stdout)


def test_importing_all_of_core_loads_no_orchestrator():
    assert loaded_by(CORE, "prefect") == []


def test_settings_and_models_are_looked_up_without_loading_torch():
    core = ["crystalgnn_core.config", "crystalgnn_core.learning.registry"]
    assert loaded_by(["deployments.cli", *core], "torch") == []
    assert loaded_by(
        ["crystalgnn_core.models.cgcnn.network"], "torch"
    )  # the check can fail


@pytest.mark.parametrize("package", ["pymatgen", "ase", "mp_api"])
def test_settings_are_read_without_loading_what_only_some_sources_use(package):
    assert loaded_by(["crystalgnn_core.config"], package) == []


def test_an_ingest_runs_without_loading_torch():
    assert loaded_by(["flows.records", "flows.stages"], "torch") == []


@pytest.mark.parametrize("package", ["numpy", "pyarrow", "pymatgen"])
def test_help_is_shown_without_loading_the_science(package):
    assert loaded_by(["deployments.cli"], package) == []
