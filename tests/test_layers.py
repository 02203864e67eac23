"""Modules import downwards and never in a circle, function-level imports included."""

from functools import cache
from pathlib import Path

import physiopipe
from physiopipe.code_digest import Package

LAYERS = (  # from the lowest; a module belongs to the longest name that it starts with, and may import its own layer
    ("errors", "patches"),
    ("files", "memory", "errors_noted", "study_files"),
    ("checksums", "code_digest", "cpu_time", "plugins"),
    # what sections of params.yaml are made from, and registries, which hold import strings alone
    ("params.section", "params.clips", "params.preparation", "params.pretraining", "params.encoders", "params.run",
     "params.study", "params.own_cohorts", "methods.registry", "cohorts.sources", "cohorts.defaults"),
    ("cohorts.base", "cohorts.registry"),
    ("params",),
    ("signals", "recordings", "models"),
    ("training", "windows", "cohorts", "clips"),
    ("methods",),
    ("experiments",),
    ("results",),
    ("report", "own_recordings"),
    ("plan", "raw_recordings", "stage_code", "study_clean", "study_new", "study_status", "workflow_run"),
    ("cli",),
)  # fmt: skip


@cache
def package() -> Package:
    return Package(Path(physiopipe.__file__).parent)


def layer_of(module: str) -> int | None:
    """Number of a module's layer; None where no layer names it."""
    known = {name: number for number, names in enumerate(LAYERS) for name in names}
    parts = module.split(".")[1:]
    return next((known[name] for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in known), None)


def circle(found: Package) -> list[str]:
    """Modules that import each other in a circle, the first one again at the end; empty where none do."""
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(found.imports(module)):
            if known := search(other, [*path, module]):
                return known
        done.add(module)
        return []

    return next((known for module in found.modules if (known := search(module, []))), [])


def test_every_module_has_a_layer() -> None:
    assert [name for name in package().modules[1:] if layer_of(name) is None] == []


def test_modules_import_downwards() -> None:
    found = package()
    upwards = [
        f"{module} imports {other}"
        for module in found.modules[1:]
        for other in sorted(found.imports(module))
        if layer_of(other) > layer_of(module)
    ]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle(tmp_path: Path) -> None:
    assert circle(package()) == []
    (tmp_path / "a.py").write_text("def f():\n    from physiopipe import b\n")
    (tmp_path / "b.py").write_text("import physiopipe.c\n")
    (tmp_path / "c.py").write_text("from physiopipe.a import f\n")
    assert circle(Package(tmp_path)) == ["physiopipe.a", "physiopipe.b", "physiopipe.c", "physiopipe.a"]


def test_methods_load_neither_the_command_line_nor_the_download() -> None:
    found = package()
    methods = [name for name in found.modules if name.startswith("physiopipe.methods.")]
    loaded = {name.split(".")[1] for name in found.closure(methods, leaves=())}
    assert not loaded & {"cli", "plan", "experiments", "results", "report", "recordings", "windows"}
