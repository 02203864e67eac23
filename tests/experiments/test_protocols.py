"""The wall between subjects, what leaks through when it is taken away, and what corrupted clips are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_cohort import store_cohort, study_of
from sklearn.metrics import roc_auc_score
from small_methods import parameters

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments import study as experiment_study
from physiopipe.experiments.corruptions import Condition, conditions, corrupted
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.fold_run import check_disjoint
from physiopipe.experiments.leaks import leaky_sides, run_leaky
from physiopipe.experiments.predictions import read_predictions
from physiopipe.experiments.robustness import run_robustness
from physiopipe.experiments.subject_splits import Fold, fewer_training_subjects, subject_split
from physiopipe.methods.base import Setup
from physiopipe.methods.ours import Ours
from physiopipe.methods.registry import method_class
from physiopipe.params import Params

# ---------------------------------------------------------------------------------------------------- the wall


def test_a_subject_on_two_sides_fails_the_run(make_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = make_clips(subjects=6, clips=3, windows=1, patches=10)
    cohort = store_cohort(tmp_path, clips)
    fold = subject_split(sorted(set(clips.subjects)), "paper", 0)[0]
    spoilt = object.__new__(Fold)  # past the guard of Fold itself: the cross-validation has one of its own
    for side in ("train", "validation", "test"):
        object.__setattr__(spoilt, side, getattr(fold, side))
    object.__setattr__(spoilt, "train", (*fold.train, fold.test[0]))
    monkeypatch.setattr(experiment_study, "subject_split", lambda *_: [spoilt])
    out = tmp_path / "out.parquet"
    with pytest.raises(PhysiopipeError, match=f"subject {fold.test[0]} has clips on two sides"):
        run_method(study_of("clip_prior", parameters(tmp_path), cohort), out)
    assert not out.exists()
    assert not list((tmp_path / "state" / "finetune").glob("*.parquet"))
    with pytest.raises(PhysiopipeError, match="two sides of a split"):
        Fold(fold.train, fold.validation, (*fold.test, fold.train[0]))


@pytest.mark.parametrize("modality", ["eeg", "ecg"])
def test_one_recording_under_two_names_fails_the_run(make_clips, modality: str) -> None:
    clips = make_clips(subjects=6, clips=3, windows=2)
    names = sorted(set(clips.subjects))
    sides = [clips.of_subjects(part) for part in (names[:3], names[3:4], names[4:])]
    check_disjoint(*sides)
    windows = getattr(sides[2], modality).copy()
    windows[3] = getattr(sides[0], modality)[5]
    sides[2] = replace(sides[2], **{modality: windows})  # another recording has other digests
    with pytest.raises(PhysiopipeError, match=f"very {modality.upper()} samples .* under two names"):
        check_disjoint(*sides)


def test_fewer_training_subjects_are_nested_and_leave_the_test_alone() -> None:
    names = [f"s{i:02d}" for i in range(23)]
    for seed in range(3):
        for fold in subject_split(names, "crossval", seed):
            kept = {share: fewer_training_subjects(fold, share, seed) for share in (0.25, 0.5, 1.0)}
            assert set(kept[0.25].train) < set(kept[0.5].train) < set(kept[1.0].train)
            assert kept[1.0] == fold
            assert len(kept[0.5].train) == round(0.5 * len(fold.train))
            for part in kept.values():
                assert (part.validation, part.test) == (fold.validation, fold.test)
    assert fewer_training_subjects(fold, 0.01, 0).train


# ------------------------------------------------------------------------------------------------------- leaks


def shuffled_labels(clips: ClipData, seed: int) -> ClipData:
    """Nothing planted: labels that no signal knows, one draw a clip."""
    clips.labels[:] = np.random.default_rng(seed).integers(0, 2, clips.labels.shape)
    return clips


def own_clips(make_clips, seed: int = 3) -> ClipData:
    """Clips whose windows resemble each other more than those of other clips, as a person's state lasts: no effect."""
    sizes = {"subjects": 10, "clips": 10, "windows": 5, "patches": 5, "channels": (6, 2)}
    clips = shuffled_labels(make_clips(**sizes, effect=0.0, seed=seed), seed)
    random = np.random.default_rng(seed)
    gain = np.exp(random.normal(0, 0.5, (len(clips), 6)))[clips.clip_of]
    clips.eeg[:] *= gain[:, :, None, None]
    clips.ecg[:] *= np.exp(random.normal(0, 0.5, len(clips)))[clips.clip_of, None, None, None]
    return clips


def clip_auc(frame: pd.DataFrame) -> float:
    return float(np.mean([roc_auc_score(part["truth"], part["probability"]) for _, part in frame.groupby("label")]))


def test_the_canary_sings_of_shuffled_windows_and_is_silent_on_honest_ones(make_clips, tmp_path: Path) -> None:
    cohort = store_cohort(tmp_path, own_clips(make_clips))
    params = parameters(tmp_path)
    params = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"protocol": "crossval"})})
    out = tmp_path / "honest.parquet"
    run_method(study_of("nearest_neighbours", params, cohort), out)
    honest, about = read_predictions(out)
    assert "LEAKY" not in about["provenance"]
    run_leaky(study_of("nearest_neighbours", params, cohort), tmp_path / "leaky.parquet")
    leaky, about = read_predictions(tmp_path / "leaky.parquet")
    assert about["leaky"]
    assert about["provenance"].startswith("LEAKY")
    assert clip_auc(leaky) > 0.8
    assert abs(clip_auc(honest) - 0.5) < 0.12  # 100 clips, three labels: SD about .035
    key = ["seed", "subject", "clip", "label", "truth"]
    pd.testing.assert_frame_equal(
        honest.sort_values(key)[key].reset_index(drop=True), leaky.sort_values(key)[key].reset_index(drop=True)
    )


def test_leaky_ours_predicts_the_same_clips_and_computes_each_embedding_once(make_clips, tmp_path: Path) -> None:
    cohort = store_cohort(tmp_path, make_clips(subjects=10, clips=3, windows=5, patches=2, channels=(3, 2)))
    params = parameters(tmp_path, epochs=2)
    run_leaky(study_of("ours", params, cohort), tmp_path / "leaky.parquet")
    frame, about = read_predictions(tmp_path / "leaky.parquet")
    assert len(list((tmp_path / "state" / "embeddings").glob("*.npy"))) == 2 * 10  # by subject and modality, no more
    tested = subject_split([f"s{i:02d}" for i in range(1, 11)], "paper", 0)[0].test
    assert set(frame["subject"]) == set(tested)
    assert len(frame) == len(tested) * 3 * 3
    assert about["inputs"] == ["eeg", "ecg"]


def test_leaky_sides_share_clips_but_no_window(make_clips) -> None:
    clips = make_clips(subjects=5, clips=5, windows=4, patches=1)
    seen = []
    for number in range(5):
        train, validation, test = leaky_sides(clips, 0, number)
        windows = [{part.eeg[i].tobytes() for i in range(len(part.clip_of))} for part in (train, validation, test)]
        assert sum(map(len, windows)) == len(set().union(*windows)) == 100
        assert set(train.subjects) & set(test.subjects)
        seen += test.eeg[:, 0, 0, 0].tolist()
        with pytest.raises(PhysiopipeError, match="two sides"):
            check_disjoint(train, validation, test)
    assert sorted(seen) == sorted(clips.eeg[:, 0, 0, 0].tolist())


# ------------------------------------------------------------------------------------------------------ corruptions


def test_noise_has_the_ratio_it_says_and_depends_on_nobodys_neighbours(make_clips) -> None:
    clips = make_clips(subjects=3, clips=2, windows=2, patches=10)
    for level in (20.0, 0.0, -5.0):
        noisy = corrupted(clips, Condition("noise_snr_db", level), 0)
        for before, after in ((clips.eeg, noisy.eeg), (clips.ecg, noisy.ecg)):
            signal, noise = before.var(axis=(2, 3)), (after - before).var(axis=(2, 3))
            np.testing.assert_allclose(10 * np.log10(signal / noise), level, atol=0.6)
        some = corrupted(clips.of_subjects(["s02"]), Condition("noise_snr_db", level), 0)
        np.testing.assert_array_equal(some.eeg, noisy.of_subjects(["s02"]).eeg)
    strong, weak = (corrupted(clips, Condition("noise_snr_db", level), 0).eeg - clips.eeg for level in (0.0, 20.0))
    np.testing.assert_allclose(strong, 10 * weak, rtol=1e-2, atol=1e-2)
    assert not np.array_equal(corrupted(clips, Condition("noise_snr_db", 0.0), 1).eeg - clips.eeg, strong)


def test_channels_go_by_subject_and_more_include_the_fewer(make_clips) -> None:
    clips = make_clips(subjects=4, clips=2, windows=2)
    gone = {}
    for count in (2, 7):
        found = corrupted(clips, Condition("dropped_eeg_channels", count), 0)
        assert ((~found.eeg_present).sum(axis=1) == count).all()
        assert (found.eeg[~found.eeg_present] == 0).all()
        assert (found.eeg[found.eeg_present] == clips.eeg[found.eeg_present]).all()
        np.testing.assert_array_equal(found.ecg, clips.ecg)
        gone[count] = ~found.eeg_present
    assert (gone[7] >= gone[2]).all()
    by_subject = [gone[7][clips.clip_of == clip][0] for clip in (0, 1, 2)]
    assert (by_subject[0] == by_subject[1]).all()
    assert (by_subject[0] != by_subject[2]).any()
    assert clips.eeg_present.all()  # the clips themselves are left as they were


@pytest.mark.parametrize("channels", [1, 5, 19])
def test_channels_are_dropped_of_any_number_and_no_more_than_there_are(make_clips, channels: int) -> None:
    clips = make_clips(subjects=3, clips=2, windows=1, channels=(channels, 1))
    for count in range(channels + 1):
        found = corrupted(clips, Condition("dropped_eeg_channels", count), 0)
        assert ((~found.eeg_present).sum(axis=1) == count).all()
    with pytest.raises(PhysiopipeError, match=rf"{channels + 1} EEG channels cannot be dropped of {channels}"):
        corrupted(clips, Condition("dropped_eeg_channels", channels + 1), 0)


def test_a_lost_modality_leaves_the_other(make_clips) -> None:
    clips = make_clips(subjects=2, clips=2, windows=1)
    for kind, lost, kept in (("lost_eeg", "eeg", "ecg"), ("lost_ecg", "ecg", "eeg")):
        found = corrupted(clips, Condition(kind), 0)
        assert (getattr(found, lost) == 0).all()
        assert not getattr(found, f"{lost}_present").any()
        np.testing.assert_array_equal(getattr(found, kept), getattr(clips, kept))


def test_the_default_levels_are_those_asked_for() -> None:
    found = list(conditions(Params().robustness))
    assert found[:3] == [Condition("clean"), Condition("lost_eeg"), Condition("lost_ecg")]
    assert [each.level for each in found if each.kind == "noise_snr_db"] == [20, 15, 10, 5, 0, -5]


def test_robustness_starts_from_what_the_study_has_fitted(
    make_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = store_cohort(tmp_path, make_clips(subjects=6, clips=6, windows=1, patches=2, channels=(8, 2)))
    params = parameters(tmp_path, epochs=3)
    evaluate = params.evaluate.model_copy(update={"protocol": "crossval", "seeds": (0, 1)})
    robustness = params.robustness.model_copy(update={"dropped_eeg_channels": (7,), "noise_snr_db": (-5.0,)})
    params = params.model_copy(update={"evaluate": evaluate, "robustness": robustness})
    study, folder = study_of("mixture", params, cohort), tmp_path / "state" / "finetune"
    run_method(study, tmp_path / "plain.parquet")
    plain, _ = read_predictions(tmp_path / "plain.parquet")
    fitted = set(folder.glob("*.parquet"))
    out = tmp_path / "corrupted.parquet"
    with monkeypatch.context() as context:
        context.setattr(Ours, "fit", lambda *_: pytest.fail("fitted again"))
        run_robustness(study, out)
    frame, about = read_predictions(out)
    assert about["simulated"] is True
    key = ["seed", "fold", "subject", "clip", "label"]
    clean = frame[frame["condition"] == "clean"].sort_values(key)
    np.testing.assert_array_equal(clean["probability"], plain.sort_values(key)["probability"])
    for _, part in frame.groupby(["condition", "level"]):
        assert len(part) == len(plain)
    kinds = frame.drop_duplicates(["condition", "level"])["condition"].tolist()
    assert sorted(kinds) == ["clean", "dropped_eeg_channels", "lost_ecg", "lost_eeg", "noise_snr_db"]
    kept = {path: path.stat().st_mtime_ns for path in set(folder.glob("*.parquet")) - fitted}
    assert len(kept) == 10
    first = out.read_bytes()
    victim = sorted(kept)[0]
    victim.unlink()
    run_robustness(study, out)
    assert out.read_bytes() == first
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items() if path != victim)


def test_without_a_modality_the_other_still_tells_and_without_its_own_a_single_one_is_at_chance(
    make_clips, tmp_path: Path
) -> None:
    whole = make_clips(subjects=14, clips=12, windows=2, effect=2.0)
    names = sorted(set(whole.subjects))
    train, validation, test = (whole.of_subjects(part) for part in (names[:8], names[8:10], names[10:]))
    auc: dict[tuple[str, str], list[float]] = {}
    for name in ("ours", "mixture", "ecg_only"):
        model = method_class(name)(Setup(parameters(tmp_path), None, tmp_path / "state")).fit(train, validation, 0)
        for kind in ("lost_eeg", "lost_ecg"):
            found = model.predict(corrupted(test, Condition(kind), 0).without_labels())
            auc[name, kind] = [roc_auc_score(test.labels[:, label], found[:, label]) for label in range(2)]
    for name in ("ours", "mixture"):
        assert auc[name, "lost_eeg"][1] > 0.75  # arousal is in the ECG
        assert auc[name, "lost_ecg"][0] > 0.7  # valence is in the EEG
        assert abs(auc[name, "lost_eeg"][0] - 0.5) < 0.25
    assert auc["ecg_only", "lost_ecg"] == [0.5, 0.5]  # nothing left: ties
    assert auc["ecg_only", "lost_eeg"][1] > 0.75


@pytest.mark.parametrize("name", ["handcrafted", "nearest_neighbours", "cross_attention", "gated"])
def test_every_method_still_answers_whatever_is_lost(make_clips, tmp_path: Path, name: str) -> None:
    whole = make_clips(subjects=6, clips=4, windows=1, patches=4)
    names = sorted(set(whole.subjects))
    train, validation, test = (whole.of_subjects(part) for part in (names[:3], names[3:4], names[4:]))
    model = method_class(name)(Setup(parameters(tmp_path, epochs=1), None, tmp_path / "state"))
    model.fit(train, validation, 0)
    for condition in (*conditions(Params().robustness), Condition("dropped_eeg_channels", 14)):
        found = model.predict(corrupted(test, condition, 0).without_labels())
        assert found.shape == (8, 3)
        assert ((found >= 0) & (found <= 1)).all(), condition
