"""A method is one file and one line: what is done to one changes no digest, and so no result, of another."""

from pathlib import Path
from typing import Any, get_args

import pytest
from made_cohort import store_cohort, study_of
from test_ours import parameters

from physiopipe.clips.selection import ClipChoice, choose_clips
from physiopipe.experiments import cross_validation
from physiopipe.experiments.cross_validation import CrossValidation
from physiopipe.methods import registry
from physiopipe.methods.registry import METHODS, settings_class
from physiopipe.params import Params, check_params
from physiopipe.windows.store import WindowStore

OTHER: dict[type, Any] = {int: lambda x: x + 1, float: lambda x: x / 2, bool: lambda x: not x}
CHANGES_NOTHING = {
    ("transductive", "frozen"),  # it is frozen whatever is said
    ("time_llm", "prompt_cache_mb"),  # memory, not a result
}
ELSE: dict[str, Any] = {"layer": 0, "choose": [{"layer": 0}], "inverse_regularisations": [0.5], "gpt2": {"seed": 5}}
OF_ALL = {"ours", "ecg_only", "eeg_only", "transductive", "in_domain", "gated", "cross_attention", "mixture"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from planted_clips import planted_clips

    return store_cohort(
        tmp_path_factory.mktemp("cohort"), planted_clips(subjects=5, clips=2, windows=1, patches=2, channels=(2, 1))
    )


@pytest.fixture(autouse=True)
def _choose_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are chosen once for each rule: it takes most of the time, and hundreds of digests are asked for."""
    known: dict[str, ClipChoice] = {}

    def choose(store: WindowStore, last_s: float, high_from: dict[str, float]) -> ClipChoice:
        key = f"{store.folder} {last_s} {high_from}"
        if key not in known:
            known[key] = choose_clips(store, last_s, high_from)
        return known[key]

    monkeypatch.setattr(cross_validation, "choose_clips", choose)


def digests(params: Params, cohort: Path) -> dict[str, list[str]]:
    """What the folds of every method are kept under; nothing is fitted."""
    return {
        name: [run.digest for run in CrossValidation(study_of(name, params, cohort)).runs()] for name in params.methods
    }


def changed(params: Params, *path: str) -> Params:
    """The parameters with one value of another size, or the other choice."""
    content = params.model_dump(mode="json")
    *parents, last = path
    place = content
    for step in parents:
        place = place[step]
    place[last] = ELSE[last] if last in ELSE else _other(place[last], path)
    return check_params(content, "test")


def _other(value: Any, path: tuple[str, ...]) -> Any:
    """Another value of a method's parameter: the next choice where it has some, else another number."""
    if isinstance(value, str):
        return next(one for one in get_args(settings_class(path[1]).model_fields[path[2]].annotation) if one != value)
    return 1 if value is None else OTHER[type(value)](value)


def stale(before: dict[str, list[str]], after: dict[str, list[str]]) -> set[str]:
    assert set(before) == set(after)
    return {name for name, found in after.items() if not set(found) & set(before[name])}


def test_a_parameter_of_one_method_changes_no_digest_of_another(tmp_path: Path, cohort: Path) -> None:
    params = parameters(tmp_path)
    before = digests(params, cohort)
    assert len({digest for found in before.values() for digest in found}) == sum(map(len, before.values()))
    tried = 0
    for name in METHODS:
        for key in settings_class(name).model_fields:
            if name in OF_ALL - {"ours"} and key not in ("epochs", "frozen", "modality_dropout", "pretrain_epochs"):
                continue  # the same class as that of Ours: two of its parameters stand for the others
            after = digests(changed(params, "method", name, key), cohort)
            expected = set() if (name, key) in CHANGES_NOTHING else {name}
            assert stale(before, after) == expected, (name, key)
            tried += 1
    assert tried > 40


def test_what_all_share_makes_stale_all_that_use_it(tmp_path: Path, cohort: Path) -> None:
    params = parameters(tmp_path)
    before = digests(params, cohort)
    expected = {
        ("clips", "dreamer", "last_s"): set(METHODS),
        ("encoders", "eeg_scale_uv"): OF_ALL - {"ecg_only"},
        ("encoders", "eeg", "layers"): OF_ALL - {"ecg_only"},
        ("pretrain", "encoder", "layers"): OF_ALL - {"eeg_only"},
        ("pretrain", "epochs"): set(),
        ("robustness", "seed"): set(),
        ("evaluate", "bootstrap"): set(),
        ("run", "retries"): set(),
    }
    found = {key: stale(before, digests(changed(params, *key), cohort)) for key in expected}
    assert found == expected


DUMMY = '''
from physiopipe.methods.always_high import AlwaysHigh
from physiopipe.params.section import Section

class DummySettings(Section):
    """Of the dummy."""
    threshold: int = 3

class Dummy(AlwaysHigh):
    name = "dummy"
    title = "Dummy"
    note = "Says high too."
    Settings = DummySettings
'''


def test_another_method_changes_no_digest(tmp_path: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(parameters(tmp_path), cohort)
    import physiopipe.methods

    (tmp_path / "dummy.py").write_text(DUMMY)
    monkeypatch.setattr(physiopipe.methods, "__path__", [*physiopipe.methods.__path__, str(tmp_path)])
    monkeypatch.setitem(registry.METHODS, "dummy", "physiopipe.methods.dummy:Dummy")
    content = parameters(tmp_path).model_dump(mode="json")
    content["methods"] += ["dummy"]
    content["method"]["dummy"] = {"threshold": 4}
    params = check_params(content, "test")
    assert params.method["dummy"].threshold == 4
    others = params.model_copy(update={"methods": tuple(name for name in params.methods if name != "dummy")})
    assert digests(others, cohort) == before
