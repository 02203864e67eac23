"""Whom a change of the code makes stale: what imports it, and nobody else."""

import ast
import shutil
from functools import cache
from pathlib import Path

import pytest

import physiopipe
from physiopipe.code_digest import Package, code_digest
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.registry import METHODS

ROOT = Path(physiopipe.__file__).parent
ALWAYS = "physiopipe.experiments.cross_validation"
TRIVIAL = {"always_high", "clip_prior", "chance"}
ON_FEATURES = {"handcrafted", "nearest_neighbours"}
ENCODER_USERS = {"ours", "ecg_only", "eeg_only", "transductive", "in_domain", "gated", "cross_attention", "mixture"}
ON_GPT2 = {"one_fits_all", "time_llm"}
ON_SERIES = {"tfc", "simmtm"}
EEG_NETWORKS = {"mlf_capsnet", "eeg_conformer"}
ON_SEGMENTS = {"minirocket", *EEG_NETWORKS}
AT_128_HZ = ON_GPT2 | ON_SERIES | ON_SEGMENTS
NOBODY: set[str] = set()
ALL = set(METHODS)
OF_NO_METHOD = ("methods/registry.py", "cohorts/", "params/", "recordings/", "plan.py", "results/", "report/", "cli/")
STALE = {  # by file that changes
    "methods/always_high.py": {"always_high"},
    "methods/handcrafted.py": ON_FEATURES,
    "methods/nearest_neighbours.py": {"nearest_neighbours"},
    "methods/ours.py": ENCODER_USERS,
    "methods/fused_embeddings.py": ENCODER_USERS,
    "methods/transductive.py": {"transductive"},
    "methods/in_domain.py": {"in_domain"},
    "methods/single_modality.py": {"ecg_only", "eeg_only"},
    "methods/fusions.py": {"gated", "cross_attention", "mixture"},
    "methods/language_models.py": ON_GPT2,
    "methods/gpt2_source.py": ON_GPT2,
    "methods/one_fits_all.py": {"one_fits_all"},
    "methods/time_llm.py": {"time_llm"},
    "methods/networks.py": ON_SERIES | EEG_NETWORKS,
    "methods/series.py": ON_SERIES,
    "methods/tfc.py": {"tfc"},
    "methods/simmtm.py": {"simmtm"},
    "methods/minirocket.py": {"minirocket"},
    "models/minirocket.py": {"minirocket"},
    "methods/eeg_networks.py": EEG_NETWORKS,
    "methods/mlf_capsnet.py": {"mlf_capsnet"},
    "training/mlf_capsnet.py": {"mlf_capsnet"},
    "methods/eeg_conformer.py": {"eeg_conformer"},
    "models/eeg_conformer.py": {"eeg_conformer"},
    "training/segments.py": EEG_NETWORKS,
    "methods/base.py": ALL,
    "methods/registry.py": NOBODY,
    "cohorts/registry.py": NOBODY,
    "cohorts/dreamer.py": NOBODY,
    "models/encoder.py": ENCODER_USERS | AT_128_HZ,  # which use finetune.py
    "models/gpt2.py": ON_GPT2,
    "models/patching.py": ON_GPT2,
    "models/prompts.py": {"time_llm"},
    "models/fusion_heads.py": {"gated", "cross_attention", "mixture"},
    "models/probes.py": ENCODER_USERS,
    "models/masking.py": {"in_domain"},
    "clips/features.py": ON_FEATURES,
    "clips/embeddings.py": ENCODER_USERS,
    "clips/cache.py": ON_FEATURES | ENCODER_USERS | AT_128_HZ,
    "clips/resampled.py": AT_128_HZ,
    "clips/series.py": ON_SERIES | ON_SEGMENTS,
    "clips/segments.py": ON_SEGMENTS,
    "clips/selection.py": ALL,
    "training/finetune.py": ENCODER_USERS | AT_128_HZ,
    "training/recipe.py": ENCODER_USERS | AT_128_HZ,
    "training/pretrain.py": NOBODY,
    "training/in_domain.py": {"in_domain"},
    "training/group.py": {"in_domain"},
    "experiments/cross_validation.py": ALL,
    "experiments/robustness.py": NOBODY,
    "experiments/leaks.py": NOBODY,
    "experiments/ablations.py": NOBODY,
    "params/study.py": NOBODY,
    "params/encoders.py": NOBODY,
    "recordings/download.py": NOBODY,
    "plan.py": NOBODY,
    **{path.relative_to(ROOT).as_posix(): NOBODY for name in ("results", "report", "cli")
       for path in (ROOT / name).glob("*.py")},
}  # fmt: skip


def digests(package: Package) -> dict[str, str]:
    """Digest of the code behind each method's results."""
    return {name: package.digest([place.partition(":")[0], ALWAYS]) for name, place in METHODS.items()}


@cache
def digests_now() -> dict[str, str]:
    """Digests of the package as it is, and so of a copy of it."""
    return digests(Package(ROOT))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path / "physiopipe", ignore=shutil.ignore_patterns("__pycache__")))


def test_a_changed_line_makes_stale_what_imports_it_and_nobody_else(copied: Path) -> None:
    package = Package(copied)
    before = digests(package)
    assert before == digests_now()
    assert len(STALE) > 45
    found = {}
    for name in STALE:
        path, module = copied / name, f"physiopipe.{name.removesuffix('.py').replace('/', '.')}"
        text = path.read_text()
        path.write_text(f"{text}\n_A_NEW_LINE = 1\n")
        package.reread(module.removesuffix(".__init__"))
        found[name] = {method for method, digest in digests(package).items() if digest != before[method]}
        path.write_text(text)
        package.reread(module.removesuffix(".__init__"))
    known = set().union(*(methods for methods in STALE.values() if methods != ALL))  # others: the rules below alone
    assert {name: methods & known for name, methods in found.items()} == {
        name: methods & known for name, methods in STALE.items()
    }
    assert {name for name, methods in found.items() if methods and name.startswith(OF_NO_METHOD)} == set()
    assert found["methods/base.py"] == found[f"{ALWAYS.partition('.')[2].replace('.', '/')}.py"] == set(METHODS)
    assert digests(package) == before


def test_comments_docstrings_and_layout_make_nobody_stale(copied: Path) -> None:
    for path in copied.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body[0] = ast.Expr(ast.Constant("Another docstring."))
        path.write_text(f"# a comment\n\n\n{ast.unparse(tree)}\n")
    assert digests(Package(copied)) == digests_now()


def test_another_number_or_name_is_another_digest(copied: Path) -> None:
    package, path = Package(copied), copied / "methods" / "chance.py"
    before = digests_now()
    text = path.read_text()
    for old, new in (("1e-4", "2e-4"), ("_draw", "_pick"), ("{clip}", "{clip} ")):
        assert old in text
        path.write_text(text.replace(old, new))
        package.reread("physiopipe.methods.chance")
        assert {name for name, digest in digests(package).items() if digest != before[name]} == {"chance"}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A package of a few modules that import each other in every way."""
    files = {
        "__init__.py": "",
        "params/__init__.py": "from physiopipe.a import x",
        "sub/__init__.py": "",
        "sub/one.py": "from . import two\nfrom ..a import x",
        "sub/two.py": "def f():\n    import physiopipe.b as b",
        "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from physiopipe import c\nx = 1",
        "b.py": "from physiopipe import d\nfrom physiopipe.params import Params\nNAMED = 'physiopipe.c:x'",
        "c.py": "x = 1",
        "d.py": "import numpy",
    }
    for name, text in files.items():
        path = tmp_path / "physiopipe" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "physiopipe"


def test_every_way_to_import_is_followed(small: Path) -> None:
    package = Package(small)
    assert package.imports("physiopipe.sub.one") == {"physiopipe.sub.two", "physiopipe.a"}
    assert package.closure(["physiopipe.sub.one"]) == (
        "physiopipe.a", "physiopipe.b", "physiopipe.d", "physiopipe.sub", "physiopipe.sub.one", "physiopipe.sub.two",
    )  # fmt: skip
    assert package.closure(["physiopipe.a"]) == ("physiopipe.a",)  # what a type checker imports is not run
    assert set(package.modules) == {"physiopipe", "physiopipe.params", *package.closure(["physiopipe.sub.one"])} | {
        "physiopipe.c"
    }


def test_a_missing_module_is_named(small: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"no module physiopipe\.nothing"):
        Package(small).digest(["physiopipe.nothing"])
    (small / "d.py").write_text("def (")
    with pytest.raises(PhysiopipeError, match=r"d\.py is no Python"):
        Package(small).digest(["physiopipe.b"])


def test_the_installed_package_is_the_one_that_is_read() -> None:
    assert code_digest("physiopipe.methods.ours", ALWAYS) == digests_now()["ours"]
