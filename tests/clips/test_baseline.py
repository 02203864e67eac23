"""Features and embeddings against the rest before each clip: oracles, and DREAMER's own way from file to prediction."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_cohort import study_of
from planted_clips import planted_clips
from prepared import store_file

from physiopipe.clips.baseline import embeddings_against_baseline, features_against_baseline
from physiopipe.clips.clip_data import HIDDEN_LABEL, Baseline, ClipData
from physiopipe.clips.selection import choose_clips, gather_clips
from physiopipe.cohorts.dreamer_simulation import simulate_dreamer
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.corruptions import Condition, corrupted
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.methods.base import Setup
from physiopipe.methods.registry import method_class
from physiopipe.params import Params, check_params
from physiopipe.report.data_figures import clip_table
from physiopipe.windows.store import WindowStore

SIZES = {"layers": 1, "feedforward": 200}


def parameters(state: Path, **changes: Any) -> Params:
    content = {
        "data": {"dreamer": {"origin": "simulated", "read_baseline": True}},
        "simulate": {"dreamer": {"subjects": 6, "clips": 4, "min_clip_s": 21, "max_clip_s": 22, "baseline_s": 21}},
        "clips": {"dreamer": {"last_s": 20.0, "baseline": "subtract_features"} | changes.pop("clips", {})},
        "pretrain": {"encoder": SIZES},
        "encoders": {"eeg": SIZES, "eeg_weights": {"origin": "none"}},
        "methods": ["handcrafted", "ours", "mlf_capsnet"],
        "method": {"ours": {"epochs": 1, "hidden": 16}},
        "evaluate": {"seeds": [0]},
        "run": {"state_folder": str(state), "log_folder": "", "device": "cpu", "threads": 1},
    }
    return check_params(content | changes, "test")


def with_rest(use: Any, seed: int = 0, **changes: Any) -> ClipData:
    """Planted clips with two windows of rest before each."""
    clips = planted_clips(subjects=3, clips=4, windows=2, seed=seed, **changes)
    rest = planted_clips(subjects=3, clips=4, windows=2, seed=seed + 1, **changes)
    return replace(clips, baseline=Baseline(rest.without_labels(), use))


def drawn(clips: ClipData) -> np.ndarray:
    """A value of each window that its samples determine, of two columns, one of them unknown in places."""
    values = clips.eeg[:, :2, 0, :5].sum(axis=-1)
    return np.where(values < -15, np.nan, values).astype(np.float32)


@pytest.mark.parametrize("use", ["subtract_features", "zscore_by_person"])
def test_values_are_those_of_a_table_by_hand(use: str) -> None:
    clips = with_rest(use)
    rest = clips.baseline.windows
    table = pd.DataFrame(drawn(rest), dtype=float)
    person, clip = rest.subjects[rest.clip_of], rest.clip_of
    own = pd.DataFrame(drawn(clips), dtype=float)
    assert own.isna().any().any()
    assert table.isna().any().any()
    mine = clips.subjects[clips.clip_of]
    of_person = table.groupby(person)
    if use == "subtract_features":
        wanted = (
            own.to_numpy()
            - table.groupby(clip)
            .mean()
            .fillna(pd.DataFrame(of_person.mean().loc[rest.subjects].to_numpy()))
            .to_numpy()[clips.clip_of]
        )
    else:
        mean, deviation = of_person.mean().loc[mine].to_numpy(), of_person.std(ddof=0).loc[mine].to_numpy()
        wanted = (own.to_numpy() - mean) / deviation
    found = features_against_baseline(clips, drawn)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(features_against_baseline(replace(clips, baseline=None), drawn), drawn(clips))
    embedded = embeddings_against_baseline(clips, lambda each: np.nan_to_num(drawn(each)))
    np.testing.assert_allclose(embedded, np.nan_to_num(found), rtol=1e-4, atol=1e-5)  # unknown: exactly 0, no signal


@pytest.mark.parametrize("use", ["subtract_features", "zscore_by_person"])
def test_no_other_clip_is_used(use: str) -> None:
    """Inductive: another clip's signals change nothing, and a choice of subjects neither."""
    clips = with_rest(use)
    found = features_against_baseline(clips, drawn)
    other = clips.eeg.copy()
    other[clips.clip_of != 0] *= 3
    changed = features_against_baseline(replace(clips, eeg=other), drawn)
    np.testing.assert_array_equal(changed[clips.clip_of == 0], found[clips.clip_of == 0])
    name = clips.subjects[-1]
    mine = (clips.subjects == name)[clips.clip_of]
    np.testing.assert_array_equal(features_against_baseline(clips.of_subjects([name]), drawn), found[mine])


def test_rest_follows_its_clips_and_is_corrupted_with_them() -> None:
    clips = with_rest("subtract_features")
    chosen = clips.of_windows(np.isin(clips.clip_of, [1, 6]))
    assert chosen.baseline.windows.clips.tolist() == chosen.clips.tolist() == clips.clips[[1, 6]].tolist()
    np.testing.assert_array_equal(chosen.baseline.windows.eeg, clips.baseline.windows.eeg[[2, 3, 12, 13]])
    dropped = corrupted(clips, Condition("dropped_eeg_channels", 3.0), seed=1)
    lost = [each.eeg_present[0] for each in (dropped, dropped.baseline.windows)]
    np.testing.assert_array_equal(*lost)
    assert lost[0].sum() == 11
    assert not corrupted(clips, Condition("lost_ecg"), 0).baseline.windows.ecg_present.any()
    noisy = corrupted(clips, Condition("noise_snr_db", 0.0), 0)
    noise, of_rest = noisy.eeg - clips.eeg, noisy.baseline.windows.eeg - clips.baseline.windows.eeg
    assert abs(np.corrcoef(noise.ravel(), of_rest.ravel())[0, 1]) < 0.05  # a noise of its own


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated DREAMER.mat as windows, baselines read."""
    root = tmp_path_factory.mktemp("world")
    params = parameters(root / "state")
    simulate_dreamer(root / "DREAMER.mat", params.simulate["dreamer"])
    (root / "windows").mkdir()
    (root / "windows" / "dreamer").symlink_to(store_file(root, "dreamer", root / "DREAMER.mat", params))
    return root


def gathered(world: Path, params: Params) -> ClipData:
    store, rule = WindowStore(world / "windows" / "dreamer"), params.clips["dreamer"]
    tasks = {task.name: 3.0 for task in cohort("dreamer").tasks}
    return gather_clips(store, choose_clips(store, rule.last_s, tasks, with_baseline=True), rule)


def test_the_file_s_baselines_become_the_clips_rest(world: Path, tmp_path: Path) -> None:
    clips = gathered(world, parameters(tmp_path))
    rest = clips.baseline.windows
    assert np.bincount(clips.clip_of).tolist() == np.bincount(rest.clip_of).tolist() == [2] * 24
    assert (rest.labels == HIDDEN_LABEL).all()
    np.testing.assert_array_equal(rest.subjects, clips.subjects)
    assert not set(rest.digests("eeg")) & set(clips.digests("eeg"))
    index = pd.read_parquet(world / "windows" / "dreamer" / "index.parquet")
    assert len(clip_table(index, clips.tasks)) == 24  # the report counts clips, not what lies before them
    plain = gathered(world, parameters(tmp_path, clips={"baseline": "none"}))
    assert plain.baseline is None
    np.testing.assert_array_equal(plain.eeg, clips.eeg)


def test_a_clip_without_rest_is_left_out_and_a_store_without_any_refused(world: Path) -> None:
    store = WindowStore(world / "windows" / "dreamer")
    store.index.loc[store.index["record"] == "s02_c03_baseline_ecg", "clip"] = -99
    choice = choose_clips(store, 20.0, {"valence": 3.0}, with_baseline=True)
    assert choice.left_out == (("s02", 3, "no window of its baseline"),)
    assert len(choice.clips) == 23
    store.index.drop(store.index.index[store.index["clip"] < 0], inplace=True)
    assert len(choose_clips(store, 20.0, {"valence": 3.0}).clips) == 24
    with pytest.raises(PhysiopipeError, match=r"Set data\.dreamer\.read_baseline to true"):
        choose_clips(store, 20.0, {"valence": 3.0}, with_baseline=True)


def test_a_person_s_own_level_is_gone(world: Path, tmp_path: Path) -> None:
    """A gain of one person's amplifier, in clips and rest alike, is no more to be seen in log powers."""
    params = parameters(tmp_path)
    test = gathered(world, params).of_subjects(["s06"]).without_labels()
    gain = np.float32(1.3)
    rest = replace(test.baseline.windows, eeg=test.baseline.windows.eeg * gain)
    louder = replace(test, eeg=test.eeg * gain, baseline=replace(test.baseline, windows=rest))
    read = method_class("handcrafted")(Setup(params, None, tmp_path))._features
    np.testing.assert_allclose(read(louder), read(test), atol=1e-3)
    alone, loud_alone = (replace(each, baseline=None) for each in (test, louder))
    assert np.abs(read(loud_alone) - read(alone)).max() > 0.5


@pytest.mark.parametrize("pooling", ["attention", pytest.param("channels_and_patches", marks=pytest.mark.slow)])
def test_embeddings_are_less_those_at_rest(world: Path, tmp_path: Path, pooling: str) -> None:
    """By hand; what has no signal in the clip or at rest stays exactly 0, and the other modality as it was."""
    params = parameters(tmp_path, method={"ours": {"pooling": pooling}})
    clips = gathered(world, params).of_subjects(["s01", "s02"])
    rest = clips.baseline.windows
    method = method_class("ours")(Setup(params, None, tmp_path))

    def embedded(windows: ClipData) -> np.ndarray:
        return method._embeddings(replace(windows, baseline=None)).astype(float)

    mean = np.stack([embedded(rest)[rest.clip_of == clip].mean(axis=0) for clip in range(len(clips))])
    np.testing.assert_allclose(method._embeddings(clips), embedded(clips) - mean[clips.clip_of], atol=1e-5)
    for windows in (clips, rest):  # an electrode cap that was off for one person
        windows.eeg[(windows.subjects == "s02")[windows.clip_of]] = 0
        windows.eeg_present[(windows.subjects == "s02")[windows.clip_of]] = False
    silent = replace(clips, baseline=replace(clips.baseline, windows=replace(rest)))
    found, width = method._embeddings(silent), 200
    mine = (clips.subjects == "s02")[clips.clip_of]
    assert (found[mine][..., :width] == 0).all()
    assert (found[mine][..., width:] != 0).any()
    np.testing.assert_allclose(found[~mine], (embedded(silent) - mean[clips.clip_of])[~mine], atol=1e-5)


@pytest.mark.slow
def test_rows_say_what_they_make_of_it(world: Path, tmp_path: Path) -> None:
    """And one that reads signals alone is not fitted again for it."""
    found, details = {}, {}
    for use in ("none", "subtract_features", "zscore_by_person"):
        params = parameters(tmp_path, clips={"baseline": use})
        for name in ("handcrafted", "ours"):
            out = tmp_path / f"{name}-{use}.parquet"
            run_method(study_of(name, params, world / "windows"), out)
            frame, about = read_predictions(out)
            found[name, use], details[name, use] = frame["probability"].to_numpy(), about["details"]
    for name in ("handcrafted", "ours"):
        mine = [found[name, use] for use in ("none", "subtract_features", "zscore_by_person")]
        assert not any(np.array_equal(a, b) for i, a in enumerate(mine) for b in mine[i + 1 :])
        assert "baseline" not in details[name, "none"]
        assert "Less the mean of the baseline" in details[name, "subtract_features"]
        assert "no other clip is used" in details[name, "zscore_by_person"]


def test_trained_along_it_is_refused(world: Path, tmp_path: Path) -> None:
    params = parameters(tmp_path, method={"ours": {"epochs": 1, "frozen": False}})
    with pytest.raises(PhysiopipeError, match=r"method\.ours\.frozen is false.*subtract_features"):
        run_method(study_of("ours", params, world / "windows"), tmp_path / "ours.parquet")
