"""A cohort is one file and one line in the registry: no other module of the package names one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import physiopipe
from physiopipe.cohorts.registry import COHORTS

ROOT = Path(physiopipe.__file__).parent


def words_of(tree: ast.AST) -> Iterator[str]:
    """Names and texts of a module's code; comments and docstrings may tell where something was met."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_module_outside_cohorts_names_one() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word[:80]}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.parent.name != "cohorts"
        for word in words_of(ast.parse(path.read_text(encoding="utf-8")))
        if any(name in word.lower() for name in COHORTS)
    ]
    assert found == []


def test_rules_and_stages_name_none() -> None:
    texts = [*(ROOT.parent / "workflow").rglob("*.smk"), ROOT.parent / "Snakefile", ROOT.parent / "dvc.yaml",
             ROOT.parent / "workflow/Snakefile"]  # fmt: skip
    found = [(path.name, name) for path in texts for name in COHORTS if name in path.read_text().lower()]
    assert found == []
