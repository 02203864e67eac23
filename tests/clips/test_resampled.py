from pathlib import Path

import numpy as np
import pytest

from physiopipe.clips import resampled
from physiopipe.clips.resampled import ResampledWindows, windows_at_128_hz


def test_sines_keep_their_phase_and_amplitude_and_what_is_above_64_hz_goes(make_clips) -> None:
    clips = make_clips(subjects=2, clips=1, windows=1, patches=10, channels=(3, 1))
    before, after = np.arange(2000) / 200, np.arange(1280) / 128
    for channel, frequency in enumerate((0.5, 20.0, 90.0)):
        clips.eeg[:, channel] = np.sin(2 * np.pi * frequency * before + 1).reshape(10, 200)
    clips.ecg[:] = 7 + before.reshape(10, 200)  # neither a constant nor a slope bends at the window's ends
    found = windows_at_128_hz(clips, "eeg")
    assert found.shape == (2, 3, 1280)
    assert found.dtype == np.float32
    for channel, frequency in enumerate((0.5, 20.0)):
        expected = np.sin(2 * np.pi * frequency * after + 1)
        np.testing.assert_allclose(found[0, channel, 100:-100], expected[100:-100], atol=0.005)
    assert np.abs(found[0, 2, 100:-100]).max() < 0.005
    np.testing.assert_allclose(windows_at_128_hz(clips, "ecg")[1, 0], 7 + after, atol=0.005)


def test_what_is_not_valid_is_zero_and_touches_nothing(make_clips) -> None:
    clips = make_clips(subjects=3, clips=1, windows=2, patches=4)
    whole = windows_at_128_hz(clips, "eeg")
    clips.valid_patches[1], clips.valid_patches[2] = 3, 0
    clips.eeg_present[3, 5] = False
    clips.eeg[1, :, 3] = np.nan
    clips.eeg[3, 5] = np.inf
    found = windows_at_128_hz(clips, "eeg")
    assert np.isfinite(found).all()
    assert (found[1, :, 3 * 128 :] == 0).all()
    assert (found[2] == 0).all()
    assert (found[3, 4] == 0).all()
    np.testing.assert_array_equal(found[0], whole[0])
    inside = slice(0, 3 * 128 - 32)  # the filter reaches ten samples of the lower rate
    np.testing.assert_allclose(found[1, :, inside], whole[1, :, inside], atol=0.05)  # of 20 µV


def test_kept_windows_are_those_computed_and_each_modality_has_its_own(
    make_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = make_clips(subjects=4, clips=2, windows=2, patches=2, channels=(5, 2))
    kept = ResampledWindows(tmp_path)
    for modality in ("eeg", "ecg"):
        np.testing.assert_array_equal(kept.of(clips, modality), windows_at_128_hz(clips, modality))
    assert len(list(tmp_path.rglob("*.npy"))) == 2 * 4
    monkeypatch.setattr(resampled, "windows_at_128_hz", lambda *_: pytest.fail("computed again"))
    again = ResampledWindows(tmp_path)
    again.precompute(clips, ("eeg", "ecg"))
    some = clips.of_subjects(["s02", "s04"])
    np.testing.assert_array_equal(again.of(some, "ecg"), windows_at_128_hz(some, "ecg"))
    nobody = clips.of_subjects([])
    assert again.of(nobody, "eeg").shape == (0, 5, 256)
