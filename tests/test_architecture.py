"""The shape of the house, read from its imports: arrows run one way and in no circle."""

import ast
import graphlib
import importlib
import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("tfgen", "zoo", "export")

# The rooms of `tfgen`, from the ground up: a module imports from its own room and those below.
ROOMS = (
    ("errors", "files", "quiet"),
    ("endpoint", "random"),
    ("data",),
    ("layers",),
    ("networks", "objectives"),
    ("model", "figures"),
    ("metrics",),
    ("runs",),
    ("latents",),
    ("reports",),
    ("cli", "__main__"),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def is_door(module):
    return module.split(".")[:2] in (["tfgen", "cli"], ["tfgen", "__main__"])


def name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {
    name(path): ast.parse(path.read_text())
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}


def homes(module):
    """`{name: module}` of the names that a package brings when they are first used."""
    if not any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"
        for node in TREES[module].body
    ):
        return {}
    known = importlib.import_module(module)._HOMES  # which may be computed
    return {key: f"{module}.{home}" for key, home in known.items()}


def targets(module, node):
    """The modules of this project that an import statement names."""
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        if node.level:
            package = module if (ROOT / module.replace(".", "/")).is_dir() else module + "."
            base = importlib.util.resolve_name("." * node.level + base, package.rpartition(".")[0])
        found = []
        for alias in node.names:
            within = f"{base}.{alias.name}"
            lazy = homes(base).get(alias.name, base) if base in TREES else base
            found.append(within if within in TREES else lazy)
    return {target for target in found if target.split(".")[0] in PACKAGES}


def statements(tree, lazy):
    """Import statements: all, or those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements(node, lazy)


def imports(module, lazy=True):
    found = (targets(module, node) for node in statements(TREES[module], lazy))
    return set().union(*found)


def test_the_imports_are_seen():
    assert len(TREES) > 25 and {"tfgen.model", "zoo.adversarial.gan", "export.lite"} <= set(TREES)
    assert imports("zoo.adversarial.dcgan") >= {"zoo.adversarial.gan", "tfgen.runs.recipes"}
    assert "tfgen.data.data" in imports("tfgen.runs.training")  # through a lazy name
    assert {"tfgen.runs.training", "export"} <= imports("tfgen.cli.training") | imports(
        "tfgen.cli.shared"
    )  # within functions
    assert "tfgen.runs.training" not in imports("tfgen.cli.training", lazy=False)


@pytest.mark.parametrize("module", TREES)
def test_arrows_run_one_way(module):
    allowed = {
        "tfgen": PACKAGES if is_door(module) else ("tfgen",),
        "zoo": ("zoo", "tfgen"),
        "export": ("export", "tfgen"),
    }[module.split(".")[0]]
    wrong = {target for target in imports(module) if target.split(".")[0] not in allowed}
    assert not wrong, f"{module} imports {wrong}"


@pytest.mark.parametrize("module", [m for m in TREES if m.startswith("tfgen.")])
def test_a_room_imports_from_the_rooms_below_it(module):
    own = FLOOR[module.split(".")[1]]
    above = {
        target
        for target in imports(module)
        if target.startswith("tfgen.") and FLOOR[target.split(".")[1]] > own
    }
    assert not above, f"{module} imports {above}"


def test_nobody_imports_the_front_door():
    outside = {m for m in TREES if not is_door(m)}
    assert not {m for m in outside if any(map(is_door, imports(m)))}


def test_there_is_no_circle():
    graph = {module: imports(module, lazy=False) - {module} for module in TREES}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", [module for module, tree in TREES.items() if tree.body])
def test_every_module_says_what_it_is(module):
    text = ast.get_docstring(TREES[module])
    assert text, f"{module} has no docstring"
    assert text.splitlines()[0].rstrip().endswith((".", "`", ":")), f"{module}: {text!r}"


def test_the_front_door_imports_tensorflow_only_where_it_is_needed():
    heavy = {"tensorflow", "keras", "tensorflow_probability", "matplotlib", "sklearn", "numpy"}
    quick = ["tfgen.cli"]  # and all that it imports
    for module in quick:
        for node in statements(TREES[module], lazy=False):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
            assert not {n.split(".")[0] for n in names if n} & heavy, f"{module} imports {names}"
        quick += imports(module, lazy=False) - set(quick)
    assert "zoo" in quick


def test_public_names_are_documented():
    import tfgen

    assert len(tfgen.__all__) == len(set(tfgen.__all__)) > 10
    for name in tfgen.__all__:
        text = getattr(tfgen, name).__doc__
        assert text and len(text) > 30, f"tfgen.{name} has no docstring"
