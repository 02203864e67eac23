"""The demo as this checkout made it, against the demo that docs/results publishes.

Labels are drawn alike on every machine, so rows that read no signal must agree to the last digit. Filters and training
sum in another order on another processor, which moves the other rows' AUCs in the third decimal; .02 is allowed. Where
they differ by more, a change has moved the results: publish them anew (CONTRIBUTING.md), and say why.
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml

from physiopipe.files import read_json
from physiopipe.params import Params, load_params
from physiopipe.params.presets import preset_with

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs/results/demo/metrics.json"
METRICS = "results/dreamer/metrics.json"
WITHOUT_SIGNALS = ("always_high", "clip_prior")
AUCS = ("auc", "subject_auc")
ALLOWED = 0.02
LAST_DIGIT = 1.5e-6  # numbers are stored with six


def differences(published: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """What of {row: {task: {metric: value}}} is not as published, in words."""
    for row in sorted(published.keys() ^ found.keys()):
        yield f"{row} is {'published only' if row in published else 'not published'}"
    for row in sorted(published.keys() & found.keys()):
        exact = row in WITHOUT_SIGNALS
        for task in sorted(published[row].keys() | found[row].keys()):
            before, now = published[row].get(task, {}), found[row].get(task, {})
            # p is left out: it counts ties between sums, whose last bit is the processor's
            for name in sorted((before.keys() | now.keys()) - {"subject_auc_p"} if exact else AUCS):
                apart = abs(before.get(name, math.nan) - now.get(name, math.nan))
                if not apart <= (LAST_DIGIT if exact else ALLOWED):  # nan, too
                    yield f"{row}, {task}: {name} published {before.get(name)}, found {now.get(name)}"


def made_by_another_study(folder: Path, demo: Params) -> str:
    """Why the metrics that are here are not those of the demo's parameters; empty where they are."""
    lock, metrics = folder / "dvc.lock", folder / METRICS
    if not (metrics.is_file() and lock.is_file()):
        return f"no {METRICS} here: run `make demo`"
    if load_params(folder / "params.yaml") != demo:
        return "params.yaml is not the demo preset"
    stages, chosen = load_yaml(lock)["stages"], load_yaml(folder / "params.yaml")
    behind = ["pretraining_windows", "windows@dreamer", "pretrain", "evaluate@dreamer"]
    for name in (*behind, *(f"finetune@dreamer-{method}" for method in demo.methods)):
        if name not in stages:
            return f"stage {name} was never run: run `make demo`"
        for key, value in stages[name]["params"]["params.yaml"].items():
            now: Any = chosen
            for part in key.split("."):
                now = now.get(part) if isinstance(now, dict) else None
            if now != value:
                return f"stage {name} was last run with other parameters ({key}): run `make demo`"
    outs = {out["path"]: out["md5"] for out in stages["evaluate@dreamer"]["outs"]}
    if outs[METRICS] != hashlib.md5(metrics.read_bytes()).hexdigest():
        return f"{METRICS} is not what dvc.lock says: run `make demo`"
    return ""


@pytest.mark.workflow
def test_a_fresh_demo_is_the_published_one() -> None:
    if not PUBLISHED.is_file():
        pytest.skip("docs/results/demo is not published yet")
    reason = made_by_another_study(ROOT, preset_with(ROOT / "presets", "demo", []))
    if reason:
        pytest.skip(reason)
    assert list(differences(read_json(PUBLISHED), read_json(ROOT / METRICS))) == []


def test_what_differs_from_the_published_numbers_is_named() -> None:
    published = {
        "always_high": {"mean": {"auc": 0.5, "subject_auc": 0.5, "f1": 0.8}},
        "ours": {"mean": {"auc": 0.60, "subject_auc": 0.62, "f1": 0.7}},
    }
    near = {"auc": 0.619, "subject_auc": 0.601, "f1": 0.5}
    assert list(differences(published, published)) == []
    assert list(differences(published, published | {"ours": {"mean": near}})) == []
    for far in (near | {"auc": 0.621}, near | {"auc": math.nan}, {"auc": 0.6}):
        [said] = differences(published, published | {"ours": {"mean": far}})
        assert said.startswith("ours, mean: ")
    [said] = differences(published, published | {"always_high": {"mean": {"auc": 0.5, "subject_auc": 0.5, "f1": 0.81}}})
    assert said == "always_high, mean: f1 published 0.8, found 0.81"
    assert list(differences(published, {"ours": published["ours"]})) == ["always_high is published only"]
    assert list(differences({"ours": published["ours"]}, published)) == ["always_high is not published"]
