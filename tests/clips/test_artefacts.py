"""Samples beyond a limit are held at it or masked, counted, and told in the row's file and on the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from pydantic import ValidationError

from physiopipe.clips.artefacts import Touched, without_artefacts
from physiopipe.clips.clip_data import ClipData
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.params import check_params
from physiopipe.params.clips import Artefacts
from physiopipe.report.data_parts import artefacts


def with_spikes() -> ClipData:
    """EEG under 40 µV with samples of 500 µV: some in signal, one past the valid patches, one in a flat channel."""
    clips = planted_clips(subjects=2, clips=2, windows=2, patches=3)
    clips.eeg[:] = np.clip(clips.eeg, -40, 40)
    clips.eeg[1, 4, 1, 50:52] = 500
    clips.eeg[5, 0, 2, 7] = -500
    clips.valid_patches[5] = 2
    clips.eeg[6, 3, 0, 9] = 500
    clips.eeg_present[6, 3] = False
    return clips


def test_clipped_samples_are_at_the_limit_and_counted_where_they_are_signal() -> None:
    clips = with_spikes()
    found, touched = without_artefacts(clips, Artefacts(action="clip", eeg_limit_uv=100.0))
    np.testing.assert_array_equal(found.eeg, np.clip(clips.eeg, -100, 100))
    assert found.ecg is clips.ecg
    present = int(clips.eeg_present.sum())
    assert present == 8 * 14 - 1
    assert touched == (Touched("eeg", 100.0, 2, (present * 3 - 14) * 200, 1, present),)


def test_masked_channels_are_absent_in_their_window_alone() -> None:
    clips = with_spikes()
    found, (touched,) = without_artefacts(clips, Artefacts(action="mask", eeg_limit_uv=100.0))
    gone = clips.eeg_present & ~found.eeg_present
    assert np.argwhere(gone).tolist() == [[1, 4]]
    assert (found.eeg[1, 4] == 0).all()
    np.testing.assert_array_equal(found.eeg[~gone], clips.eeg[~gone])
    assert touched.channels == 1


def test_none_touches_nothing() -> None:
    clips = with_spikes()
    found, touched = without_artefacts(clips, Artefacts())
    assert found is clips
    assert touched == ()
    for wrong in ({"action": "clip"}, {"eeg_limit_uv": 100.0}):
        with pytest.raises(ValidationError, match="limit"):
            Artefacts(**wrong)


def test_a_row_and_the_page_say_how_much_was_touched(tmp_path: Path) -> None:
    made = planted_clips(subjects=6, clips=2, windows=1, patches=10)
    made.eeg[0, 2, 3, 10:13] = 900.0
    windows = store_cohort(tmp_path, made)
    found = {}
    for action in ("none", "clip"):
        limits = {} if action == "none" else {"eeg_limit_uv": 300.0, "ecg_limit": 1e6}
        rule = {"artefacts": {"action": action, **limits}}
        run = {"state_folder": str(tmp_path / "state"), "log_folder": "", "threads": 1}
        content = {"clips": {"dreamer": rule}, "methods": ["handcrafted"], "evaluate": {"seeds": [0]}, "run": run}
        out = tmp_path / f"{action}.parquet"
        run_method(study_of("handcrafted", check_params(content, "test"), windows), out)
        frame, about = read_predictions(out)
        found[action] = frame["probability"].to_numpy()
        words = about["artefacts"]
        if action == "none":
            assert words == []
            assert artefacts([about]) == "<p>No limit was asked for.</p>"
            continue
        assert words[0].startswith("EEG: 3 of 336,000 samples were beyond ±300 µV, in 1 of 168 channels of windows; ")
        assert words[1].startswith("ECG: 0 of 48,000 samples were beyond ±1e+06 of the file's own unit, in 0 of 24")
        page = artefacts([about, about])
        assert page.count("<p>") == 2
        assert "held at the limit" in page
    assert not np.array_equal(found["none"], found["clip"])


def test_rest_before_the_clips_meets_the_same_limit(tmp_path: Path) -> None:
    from physiopipe.clips.selection import choose_clips, gather_clips
    from physiopipe.cohorts.base import ClipRule
    from physiopipe.windows.store import WindowStore

    made = planted_clips(subjects=2, clips=2, windows=1, patches=10)
    folder = store_cohort(tmp_path, made) / "dreamer"
    store = WindowStore(folder)
    choice = choose_clips(store, 60.0, dict.fromkeys(made.tasks, 3.0))
    choice = replace(choice, baseline=choice.pairs)  # the clips' own windows in the place of rest
    rule = ClipRule(baseline="subtract_features", artefacts=Artefacts(action="clip", eeg_limit_uv=5.0))
    found = gather_clips(store, choice, rule)
    assert np.abs(found.baseline.windows.eeg).max() == np.abs(found.eeg).max() == 5.0
