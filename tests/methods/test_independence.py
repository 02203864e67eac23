"""A method is one file and one line: what is done to one changes no digest, and so no result, of another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from made_cohort import store_cohort, study_of
from pydantic import BaseModel
from small_methods import parameters

from physiopipe.clips.selection import ClipChoice, choose_clips
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments import study as experiment_study
from physiopipe.experiments.cross_validation import CrossValidation
from physiopipe.methods import registry
from physiopipe.methods.fusion_settings import FusionSettings
from physiopipe.methods.registry import METHODS, settings_class
from physiopipe.params import Params, check_params
from physiopipe.windows.store import WindowStore

FUSION = {
    "ours",
    "ecg_only",
    "eeg_only",
    "transductive",
    "in_domain",
    "mixed_features",
    "gated",
    "cross_attention",
    "mixture",
}
ELSE: dict[str, list[Any]] = {"choose": [{"layer": 0}], "inverse_regularisations": [0.5]}
WITHOUT_EFFECT = {  # on results
    ("transductive", "frozen"),  # it is frozen whatever is said
    ("time_llm", "prompt_cache_mb"),
}


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

    def choose(store: WindowStore, *rule: Any, **named: Any) -> ClipChoice:
        key = f"{store.folder} {rule} {named}"
        if key not in known:
            known[key] = choose_clips(store, *rule, **named)
        return known[key]

    monkeypatch.setattr(experiment_study, "choose_clips", choose)


def digests(params: Params, cohort: Path) -> dict[str, list[str]]:
    """What the folds of every method are kept under; nothing is fitted."""
    return {
        name: [run.digest for run in CrossValidation(study_of(name, params, cohort)).runs()] for name in params.methods
    }


def changed(params: Params, *path: str) -> Params:
    """The parameters with another value in one place."""
    content, kind = params.model_dump(mode="json"), type(params)
    *parents, last = path
    place = content
    for step in parents:
        place, kind = place[step], kind.model_fields[step].annotation
    for value in [ELSE[last]] if last in ELSE else others(place[last], kind.model_fields[last].annotation):
        place[last] = value
        try:
            return check_params(content, "test")
        except PhysiopipeError:
            continue  # the value has limits: another one
    raise AssertionError(f"no other value of {'.'.join(path)} is allowed")


def leaves(kind: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Keys of a section's values, those of sections inside it too."""
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from ((name, *key) for key in leaves(inner))
        else:
            yield (name,)


def others(value: Any, annotation: Any) -> Iterator[Any]:
    """Values of the same kind that are not this one."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value * 2, value / 2, value - 1)
    elif isinstance(value, str):
        yield from (choice for choice in get_args(annotation) if choice != value)
        yield f"{value}x"
    elif isinstance(value, list):
        yield from ([*value[1:]], [item + 1 for item in value])
    else:
        yield from (1, 2.0, "another")


def stale(before: dict[str, list[str]], after: dict[str, list[str]]) -> set[str]:
    assert set(before) == set(after)
    return {name for name, found in after.items() if not set(found) & set(before[name])}


@pytest.mark.slow
def test_a_parameter_of_one_method_changes_no_digest_of_another(tmp_path: Path, cohort: Path) -> None:
    params = parameters(tmp_path)
    before = digests(params, cohort)
    assert len({digest for found in before.values() for digest in found}) == sum(map(len, before.values()))
    tried = 0
    for name in METHODS:
        for key in leaves(settings_class(name)):
            shared = key[0] in FusionSettings.model_fields
            if name in FUSION - {"ours"} and shared and key[0] not in ("epochs", "frozen"):
                continue  # the same class as that of Ours: two of its parameters stand for the others
            if (name, key[0]) == ("mixed_features", "frozen"):
                continue  # it takes no other value
            after = digests(changed(params, "method", name, *key), cohort)
            expected = set() if (name, *key) in WITHOUT_EFFECT else {name}
            assert stale(before, after) == expected, (name, key)
            tried += 1
    assert tried > 40


def test_what_all_share_makes_stale_all_that_use_it(tmp_path: Path, cohort: Path) -> None:
    params = parameters(tmp_path)
    before = digests(params, cohort)
    expected = {
        ("encoders", "eeg_scale_uv"): FUSION - {"ecg_only"},
        ("encoders", "eeg", "layers"): FUSION - {"ecg_only"},
        ("pretrain", "encoder", "layers"): FUSION - {"eeg_only", "mixed_features"},  # here that reads features of ECG
        ("pretrain", "epochs"): set(),
        ("robustness", "seed"): set(),
        ("evaluate", "bootstrap"): set(),
        ("run", "retries"): set(),
    }
    alone = {"always_high", "clip_prior", "chance", "handcrafted", "nearest_neighbours"}
    found = {key: stale(before, digests(changed(params, *key), cohort)) for key in expected}
    assert {key: methods & (FUSION | alone) for key, methods in found.items()} == expected
    assert all(not found[key] for key, methods in expected.items() if not methods and key != ("pretrain", "epochs"))
    assert stale(before, digests(changed(params, "clips", "dreamer", "last_s"), cohort)) == set(METHODS)


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
