"""Methods and cohorts of other packages: found by their entry points, refused by their package's name."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from physiopipe import code_digest, plugins
from physiopipe.cohorts.registry import cohort, cohort_places
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.registry import METHODS, method_class, method_module, method_places
from physiopipe.params import check_params

EXAMPLES = Path(__file__).parents[1] / "examples"
METHOD, COHORT = EXAMPLES / "physiopipe-example-method", EXAMPLES / "physiopipe-example-cohort"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Let a package be installed as pip leaves it: metadata with entry points, and modules on the search path."""
    known = set(sys.modules)

    def put(distribution: str, kind: str, name: str, place: str, **modules: str) -> None:
        folder = tmp_path / distribution
        about = folder / f"{distribution.replace('-', '_')}-1.5.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (about / "entry_points.txt").write_text(f"[physiopipe.{kind}s]\n{name} = {place}\n")
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(folder)
        plugins._offered.cache_clear()

    yield put
    monkeypatch.undo()
    for name in set(sys.modules) - known:
        del sys.modules[name]
    for cached in (plugins._offered, cohort, code_digest._installed, code_digest.code_digest):
        cached.cache_clear()


@pytest.fixture
def examples(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both packages of examples/, from their source."""
    install("example-method", "method", "line_length", "physiopipe_example_method.method:LineLength")
    install("example-cohort", "cohort", "eyes_closed", "physiopipe_example_cohort.cohort:COHORT")
    for folder in (METHOD, COHORT):
        monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures("examples")
def test_parameters_of_other_packages_are_checked_like_ours() -> None:
    assert "line_length" in method_places()
    assert "eyes_closed" in cohort_places()
    content = {
        "cohorts": {"downstream": ["eyes_closed"]},
        "data": {"eyes_closed": {"origin": "simulated"}},
        "methods": ["line_length"],
        "method": {"line_length": {"shrinkage": 2.0}},
    }
    params = check_params(content, "test")
    assert params.method["line_length"].shrinkage == 2.0
    assert params.simulate["eyes_closed"].alpha_ratio == 1.5
    content["method"] = {"line_length": {"shrinkag": 2.0}}
    with pytest.raises(PhysiopipeError, match=r"did you mean `method\.line_length\.shrinkage`"):
        check_params(content, "test")
    with pytest.raises(PhysiopipeError, match="did you mean 'line_length'"):
        check_params({"methods": ["line_lenght"]}, "test")
    with pytest.raises(PhysiopipeError, match="did you mean 'eyes_closed'"):
        check_params({"cohorts": {"downstream": ["eyes_close"]}}, "test")


CLASS = """
from physiopipe.methods.base import Method
class Row(Method):
    name, title, note = "{name}", "A row", "A note."
    def fit(self, train, validation, seed): return self
    def predict(self, test): return test.labels * 0.0
    def state(self): return {{}}, {{}}
    {restore}
"""
RESTORE = "def restore(self, arrays, about): return self"


@pytest.mark.parametrize(
    ("name", "place", "text", "words"),
    [
        ("fast", "mod_a:Row", "import no_such_library", "loading it failed with ModuleNotFoundError.*no_such_library"),
        ("fast", "mod_b:Row", "x = 1", "loading it failed with AttributeError"),
        ("fast", "mod_c:Row", "raise SystemError('no')", "loading it failed with SystemError: no"),
        ("fast", "mod_d:Row", "class Row: pass", "it is no subclass of physiopipe.methods.base.Method"),
        ("fast", "mod_e:Row", CLASS.format(name="fast", restore=""), "it lacks restore"),
        ("fast", "mod_f:Row", CLASS.format(name="slow", restore=RESTORE), "the class calls itself 'slow'"),
        ("fast", "mod_g", "x = 1", "its entry point names no attribute"),
        ("Fast-1", "mod_h:Row", "x = 1", "a name is made of lower-case letters"),
        ("ours", "mod_i:Row", "x = 1", "physiopipe has a method of that name itself"),
    ],
)
def test_what_fails_or_clashes_is_refused_with_the_packages_name(
    install: Install, name: str, place: str, text: str, words: str
) -> None:
    install("labtools", "method", name, place, **{place.partition(":")[0]: text})
    with pytest.raises(PhysiopipeError, match=rf"the package labtools 1\.5 offers the method '{name}'.*{words}"):
        check_params({"methods": [name]}, "test")


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    install("first", "cohort", "mine", "one:COHORT", one="COHORT = 1")
    with pytest.raises(PhysiopipeError, match=r"the package first 1\.5 .* no physiopipe\.cohorts\.base\.Cohort"):
        cohort("mine")
    install("second", "cohort", "mine", "two:COHORT", two="COHORT = 2")
    with pytest.raises(PhysiopipeError, match=r"first 1\.5.*second 1\.5 offers one of the same name"):
        cohort_places()


def test_a_good_class_needs_nothing_else_and_disturbs_nobody(install: Install) -> None:
    before = dict(method_places())
    assert list(before)[: len(METHODS)] == list(METHODS)
    install("labtools", "method", "fast", "mod_ok:Row", mod_ok=CLASS.format(name="fast", restore=RESTORE))
    assert method_class("fast").title == "A row"
    assert dict(method_places()) == before | {"fast": "mod_ok:Row"}


def test_its_own_modules_count_for_its_results(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("example-method", "method", "line_length", "physiopipe_example_method.method:LineLength")
    folder = tmp_path / "copy" / "physiopipe_example_method"
    folder.mkdir(parents=True)
    for path in (METHOD / "physiopipe_example_method").glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(folder.parent)

    def digest() -> tuple[str, str]:
        code_digest.code_digest.cache_clear()
        code_digest._installed.cache_clear()
        module = method_module("line_length")
        return code_digest.code_digest(module), code_digest.code_digest("physiopipe.methods.chance")

    before = digest()
    (folder / "unused.py").write_text("x = 1\n")
    text = (folder / "features.py").read_text()
    (folder / "features.py").write_text(f"# a comment\n{text}")
    assert digest() == before
    (folder / "features.py").write_text(text.replace("np.log(steps", "np.log2(steps"))
    changed = digest()
    assert changed[0] != before[0]
    assert changed[1] == before[1]
    (folder / "features.py").write_text(text)
    (folder / "__init__.py").write_text("y = 1\n")
    assert digest()[0] != before[0]
    assert "physiopipe.methods.base" in code_digest._installed(("physiopipe_example_method",)).closure(
        ["physiopipe_example_method.method"]
    )
