"""The public names: sorted, literal, complete, and really there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "sleeves"
MODULES = [
    "sleeves" + "".join("." + part for part in path.relative_to(ROOT).with_suffix("").parts if part != "__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "__main__.py"
]


def literal_all(module):
    tree = ast.parse(Path(module.__file__).read_text())
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("name", MODULES)
def test_all_is_literal_sorted_without_doubles_and_true(name):
    if name.startswith("sleeves.plots"):
        pytest.importorskip("plotly")
    if name == "sleeves.venues.drift.driftpy":
        pytest.importorskip("driftpy")
    module = importlib.import_module(name)
    names = literal_all(module)
    if names is None:
        assert name == "sleeves.data", f"{name} states no __all__"
        return
    constants = [n for n in names if n.isupper() or (n[0].isupper() and n.upper() == n)]
    classes = [n for n in names if n not in constants and n[0].isupper()]
    functions = [n for n in names if n not in constants and n not in classes]
    assert names == sorted(constants) + sorted(classes) + sorted(functions), f"__all__ of {name} is not sorted"
    assert len(set(names)) == len(names)
    for public in names:
        assert hasattr(module, public), f"{name} does not have {public}"


def test_the_root_offers_what_the_quickstart_needs():
    import sleeves

    for name in ("BTC", "FLASH", "QUIET", "USD", "CoreVault", "Desk", "Instrument", "Treasury"):
        assert name in sleeves.__all__


def test_every_public_thing_has_a_docstring():
    for name in MODULES:
        tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text())
        public = set()
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            public = set(ast.literal_eval(node.value))
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in public:
                assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"
