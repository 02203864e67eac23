from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_cohort import store_cohort as store_root

from physiopipe.clips.selection import choose_clips, clips_without_beats, load_clips
from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, sealed, write_json
from physiopipe.windows.checksums import described
from physiopipe.windows.store import WindowStore

TASKS = ("valence", "arousal", "dominance")
HIGH_FROM = dict.fromkeys(TASKS, 3.0)


def store_cohort(folder: Path, *args: Any, **changes: Any) -> Path:
    """The folder of the cohort's windows."""
    return store_root(folder, *args, **changes) / "dreamer"


def test_stored_clips_come_back(tmp_path: Path, make_clips) -> None:
    made = make_clips(subjects=3, clips=4, windows=3, patches=10)
    made.eeg_present[:, 5] = False
    made.ecg_present[4, 1] = False
    found = load_clips(store_cohort(tmp_path, made), 60.0, HIGH_FROM)
    assert found.subjects.tolist() == made.subjects.tolist()
    assert found.clips.tolist() == made.clips.tolist()
    np.testing.assert_array_equal(found.labels, made.labels)
    np.testing.assert_array_equal(found.clip_of, made.clip_of)
    np.testing.assert_array_equal(found.eeg_present, made.eeg_present)
    np.testing.assert_array_equal(found.ecg_present, made.ecg_present)
    np.testing.assert_array_equal(found.valid_patches, made.valid_patches)
    for stored, original in ((found.eeg, made.eeg), (found.ecg, made.ecg)):
        assert stored.dtype == np.float32
        half_unit = np.abs(original).max(axis=(1, 2, 3)) / 32767 / 2
        assert (np.abs(stored - original).max(axis=(1, 2, 3)) <= half_unit * 1.01).all()


def test_ecg_without_beats_counts_as_absent(tmp_path: Path, make_clips) -> None:
    made = make_clips(subjects=2, clips=2, windows=3, patches=10)
    flagged = np.zeros(12, bool)
    flagged[[0, 1, 2, 7]] = True
    folder = store_cohort(tmp_path, made, no_beats=flagged)
    found = load_clips(folder, 60.0, HIGH_FROM)
    np.testing.assert_array_equal(found.ecg_present, made.ecg_present & ~flagged[:, None])
    assert (np.abs(found.ecg).max(axis=(1, 2, 3)) == 0).tolist() == flagged.tolist()
    np.testing.assert_array_equal(found.eeg_present, made.eeg_present)
    store = WindowStore(folder)
    names = [str(name) for name in made.subjects]
    expected = [(names[0], int(made.clips[0]), 3, 3), (names[2], int(made.clips[2]), 1, 3)]
    assert clips_without_beats(store, choose_clips(store, 60.0, HIGH_FROM)) == expected
    found = load_clips(store_cohort(tmp_path / "last", made, no_beats=flagged), 20.0, HIGH_FROM)
    assert (~found.ecg_present.any(axis=1)).sum() == 3, "of the last seconds alone"


def test_only_the_last_seconds_are_used(tmp_path: Path, make_clips) -> None:
    made = make_clips(subjects=2, clips=2, windows=5, patches=10)
    folder = store_cohort(tmp_path, made)
    found = load_clips(folder, 20.0, HIGH_FROM)
    assert np.bincount(found.clip_of).tolist() == [2] * 4
    last_two = np.concatenate([np.flatnonzero(made.clip_of == clip)[-2:] for clip in range(4)])
    np.testing.assert_allclose(found.eeg, made.eeg[last_two], atol=0.01)
    np.testing.assert_allclose(found.ecg, made.ecg[last_two], atol=0.1)
    assert len(load_clips(folder, 1000.0, HIGH_FROM).clip_of) == 20


@pytest.mark.parametrize("high_from", [3, 4])
def test_labels_follow_the_ratings(tmp_path: Path, make_clips, high_from: int) -> None:
    made = make_clips(subjects=2, clips=5, windows=1, patches=10)
    ratings = np.random.default_rng(0).integers(1, 6, (10, 3)).astype(float)
    found = load_clips(store_cohort(tmp_path, made, ratings=ratings), 60.0, dict.fromkeys(TASKS, float(high_from)))
    np.testing.assert_array_equal(found.labels, ratings >= high_from)


def test_clips_that_cannot_be_used_are_named(tmp_path: Path, make_clips) -> None:
    made = make_clips(subjects=2, clips=4, windows=2, patches=10)
    ratings = 2.0 + 2.0 * made.labels
    ratings[7, 1] = np.nan
    folder = store_cohort(tmp_path, made, ratings=ratings, left_out=(("eeg", "s01", 2), ("ecg", "s02", 1)))
    choice = choose_clips(WindowStore(folder), 60.0, HIGH_FROM)
    assert choice.left_out == (
        ("s01", 2, "no EEG window in the last 60 s"),
        ("s02", 1, "no ECG window in the last 60 s"),
        ("s02", 4, "a rating is missing"),
    )
    assert list(zip(choice.clips["subject"], choice.clips["clip"], strict=True)) == [
        ("s01", 1),
        ("s01", 3),
        ("s01", 4),
        ("s02", 2),
        ("s02", 3),
    ]


def test_windows_that_do_not_start_together_are_refused(tmp_path: Path, make_clips) -> None:
    folder = store_cohort(tmp_path, make_clips(subjects=2, clips=2, patches=10), ecg_delay_s=1.0)
    with pytest.raises(PhysiopipeError, match="s01 clip 1: no EEG window starts together with an ECG window"):
        load_clips(folder, 60.0, HIGH_FROM)


def test_a_missing_rate_names_the_key_to_change(tmp_path: Path, make_clips) -> None:
    folder = store_cohort(tmp_path, make_clips(subjects=2, clips=2, patches=10))
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[index["modality"] == "ecg", "rate_hz"] = 256
    index.to_parquet(folder / "index.parquet")
    manifest = read_json(folder / "manifest.json")
    manifest["files"]["index.parquet"] = described(folder / "index.parquet")
    write_json(folder / "manifest.json", sealed(manifest))
    with pytest.raises(PhysiopipeError, match=r"ecg at 256 Hz.*\n?.*resample\.dreamer\.ecg\.rates_hz"):
        load_clips(folder, 60.0, HIGH_FROM)
