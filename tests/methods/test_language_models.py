"""The two rows on a frozen GPT-2: what is planted is learnt, by training people alone, and what is kept is enough."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.methods.base import Setup
from physiopipe.methods.registry import method_class
from physiopipe.models.frozen import frozen_parameters
from physiopipe.params import check_params

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'physiopipe[methods]'")

GPT2 = {"origin": "random", "width": 32, "layers": 1, "heads": 2}
# Of random token embeddings, all small, prototypes are alike at first: Time-LLM needs a hundred steps to part them.
SMALL: dict[str, dict[str, Any]] = {
    "one_fits_all": {"gpt2": GPT2, "patch_samples": 32, "stride_samples": 32, "epochs": 25, "batch_size": 16},
    "time_llm": {
        "gpt2": GPT2, "patch_samples": 32, "stride_samples": 32, "epochs": 25, "batch_size": 16, "learning_rate": 1e-2,
        "d_model": 8, "d_ff": 16, "heads": 2, "prototypes": 10, "prompt_digits": 3,
    },
}  # fmt: skip
THREE = ("valence", "arousal", "dominance")
BOTH = pytest.mark.parametrize("name", sorted(SMALL))


def make(name: str, folder: Path, **changes: Any) -> Any:
    """The method with small settings, some of them changed."""
    content = {"methods": [name], "method": {name: {**SMALL[name], **changes}}, "run": {"device": "cpu", "threads": 1}}
    return method_class(name)(Setup(check_params(content, "test"), None, folder))


def planted(
    channels: tuple[int, int] = (5, 1), tasks: tuple[str, ...] = ("valence", "arousal"), **sizes: int
) -> ClipData:
    """As planted_clips, with the first task in the shape of the EEG, too: one row is blind to amplitude."""
    sizes = {"subjects": 9, "clips": 8, "windows": 2, "patches": 2, **sizes}
    whole = planted_clips(**sizes, channels=channels, tasks=tasks)
    seconds = np.arange(whole.eeg.shape[2] * 200).reshape(-1, 200) / 200
    high = whole.labels[whole.clip_of, 0][:, None, None, None]
    return replace(whole, eeg=(whole.eeg + 20 * high * np.sin(2 * np.pi * 6 * seconds)).astype(np.float32))


def sides(whole: ClipData) -> tuple[ClipData, ClipData, ClipData]:
    """Training people s01 to s05, validation people s06 and s07, the others for the test."""
    names = sorted(set(whole.subjects.tolist()))
    return whole.of_subjects(names[:5]), whole.of_subjects(names[5:7]), whole.of_subjects(names[7:])


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize(
    ("name", "channels", "tasks"),
    [
        ("one_fits_all", (3, 2), THREE),
        ("time_llm", (4, 1), ("arithmetic",)),
        pytest.param("one_fits_all", (4, 1), ("arithmetic",), marks=pytest.mark.slow),
        pytest.param("time_llm", (3, 2), THREE, marks=pytest.mark.slow),
    ],
)
def test_what_is_planted_is_learnt(
    name: str, channels: tuple[int, int], tasks: tuple[str, ...], tmp_path: Path
) -> None:
    train, validation, test = sides(planted(channels, tasks, subjects=11))
    state = torch.get_rng_state()
    method = make(name, tmp_path).fit(train, validation, 0)
    assert torch.equal(torch.get_rng_state(), state)
    found = method.predict(test.without_labels())
    assert found.shape == (len(test), len(tasks))
    for task in range(min(len(tasks), 2)):  # nothing is planted of a third
        assert roc_auc_score(test.labels[:, task], found[:, task]) > 0.8
    assert [point.split for point in method.curve()] == ["train", "validation"] * 25


@BOTH
def test_what_is_kept_predicts_the_same_bytes(name: str, tmp_path: Path) -> None:
    train, validation, test = sides(planted())
    fitted = make(name, tmp_path, epochs=1).fit(train, validation, 0)
    arrays, about = fitted.state()
    save_file(arrays, tmp_path / "kept.safetensors")
    arrays, about = load_file(tmp_path / "kept.safetensors"), json.loads(json.dumps(about))
    restored = make(name, tmp_path, epochs=1).restore(arrays, about)
    assert restored.predict(test).tobytes() == fitted.predict(test).tobytes()
    assert same(restored.state()[0], arrays)
    assert restored.state()[1] == about
    assert restored.trained_parameters == fitted.trained_parameters
    with pytest.raises(PhysiopipeError, match="was fitted on another GPT-2"):
        make(name, tmp_path, gpt2={**GPT2, "seed": 1}).restore(arrays, about)
    del arrays[next(key for key in arrays if key.endswith("tokenConv.weight"))]
    with pytest.raises(PhysiopipeError, match="does not fit its network"):
        make(name, tmp_path).restore(arrays, about)


@BOTH
def test_what_is_absent_does_not_count(name: str, tmp_path: Path) -> None:
    """Neither while fitting nor in a prediction does it matter what is stored where there is no signal."""
    whole = planted()
    whole.eeg_present[::3, 1] = False
    whole.eeg_present[:, 2] = False  # in nobody
    whole.ecg_present[1::4, 0] = False
    whole.valid_patches[::5] = 1
    whole.valid_patches[7] = 0
    other = replace(whole, eeg=whole.eeg.copy(), ecg=whole.ecg.copy())
    other.eeg[~whole.eeg_present] = np.nan
    other.ecg[~whole.ecg_present] = 1e9
    other.eeg[::5, :, 1] = np.inf
    other.eeg[7] = np.nan
    found = []
    for clips in (whole, other):
        train, validation, test = sides(clips)
        found.append(make(name, tmp_path, epochs=2).fit(train, validation, 0).predict(test))
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(found[0], found[1])


@BOTH
def test_the_language_model_stays_as_it_was(name: str, tmp_path: Path) -> None:
    train, validation, _ = sides(planted())
    method = make(name, tmp_path, epochs=2)
    before = {key: value.clone() for key, value in method._gpt2.loaded.body.named_parameters()}
    net = method.fit(train, validation, 0)._net
    body = net.gpt2 if name == "one_fits_all" else net.network.llm_model
    after = dict(body.named_parameters())
    trained = {key for key in before if not torch.equal(before[key], after[key])}
    if name == "one_fits_all":  # norms and positions are trained, of a copy
        assert trained == {key for key in before if "ln" in key or "wpe" in key}
        assert all(torch.equal(v, before[k]) for k, v in method._gpt2.loaded.body.named_parameters())
    else:
        assert trained == set()
    assert {key for key in before if key not in trained} == {
        key for key, value in after.items() if not value.requires_grad
    }
    assert method.trained_parameters == sum(p.numel() for p in net.parameters()) - sum(
        p.numel() for p in frozen_parameters(net).values()
    )
    assert method.trained_parameters > 0


def test_an_optimiser_that_reaches_the_frozen_part_is_caught(tmp_path: Path) -> None:
    """OneFitsAll with steps over all parameters, frozen ones included, as decay without gradients would change them."""
    train, validation, _ = sides(planted())
    method = make("one_fits_all", tmp_path, epochs=1)
    usual = method._optimiser

    class Decaying:
        def __init__(self, net: Any) -> None:
            self.net, self.usual = net, usual(net)

        def step(self, loss: Any) -> None:
            self.usual.step(loss)
            with torch.no_grad():
                for value in self.net.parameters():
                    value.mul_(0.999)

        def end_epoch(self) -> None:
            self.usual.end_epoch()

    method._optimiser = Decaying
    with pytest.raises(PhysiopipeError, match="parameters that should be frozen changed"):
        method.fit(train, validation, 0)


def test_memory_for_prompts_changes_time_alone(tmp_path: Path) -> None:
    train, validation, test = sides(planted())
    found = []
    for megabytes in (0, 1, 500):
        method = make("time_llm", tmp_path, epochs=1, prompt_cache_mb=megabytes).fit(train, validation, 0)
        cache = method._prompts.cache
        found.append((method.predict(test).tobytes(), cache.kept, method.fingerprint()))
        assert cache.kept * 6 * cache.row_bytes <= megabytes << 20
    assert found[0][0] == found[1][0] == found[2][0]
    assert 0 == found[0][1] < found[1][1] < found[2][1] == len(train.clip_of) + len(validation.clip_of)
    assert found[0][2] == found[2][2]


def test_a_prompt_says_what_the_clips_are(tmp_path: Path) -> None:
    train, validation, _ = sides(planted((19, 1), ("arithmetic",)))
    method = make("time_llm", tmp_path, epochs=1).fit(train, validation, 0)
    data, task = method.state()[1]["sentences"]
    assert data == "EEG of 19 channels and ECG of 1, 2 s at 128 Hz."
    assert task == "high or low arithmetic."


@BOTH
def test_without_validation_people_the_last_epoch_stays(name: str, tmp_path: Path) -> None:
    train, validation, test = sides(planted())
    method = make(name, tmp_path, epochs=1).fit(train, validation.of_subjects([]), 0)
    assert np.isfinite(method.predict(test)).all()
    assert method.predict(test.of_subjects([])).shape == (0, 2)


@pytest.mark.slow
@BOTH
def test_processes_change_no_byte_of_a_study(name: str, tmp_path: Path) -> None:
    """Windows, folds and kept fits as in a study: in one process, in two, and again from what was kept."""
    whole = planted((5, 2), ("valence", "arousal", "dominance"), subjects=10, clips=4)
    whole = replace(whole, eeg_channels=("F3", "F4", "O1", "O2", "T7"))
    windows = store_cohort(tmp_path, whole)
    found = []
    for folder, threads in (("one", 1), ("two", 2), ("two", 1)):
        run = {"device": "cpu", "threads": threads, "state_folder": str(tmp_path / folder)}
        evaluate = {"protocol": "crossval", "seeds": [0]}
        content = {"methods": [name], "method": {name: {**SMALL[name], "epochs": 2}}, "run": run, "evaluate": evaluate}
        content["clips"] = {"dreamer": {"last_s": 20.0}}
        run_method(study_of(name, check_params(content, "test"), windows), tmp_path / "found.parquet")
        frame, about = read_predictions(tmp_path / "found.parquet")
        found.append(frame["probability"].to_numpy())
        assert about["provenance"].startswith("reimplementation (GPT-2 random, not pretrained: 1 layers")
        assert set(about["libraries"]) == {"numpy", "scipy", "torch", "transformers"}
    assert len(found[0]) == 40 * 3
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
