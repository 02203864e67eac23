from pathlib import Path

import numpy as np
import pytest

from physiopipe.clips.resampled import ResampledWindows, windows_at_128_hz
from physiopipe.clips.series import ClipSeries
from physiopipe.errors import PhysiopipeError


def test_series_are_stretches_of_channels_with_the_clip_they_are_of(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=3, clips=2, windows=2, patches=5, channels=(3, 1), tasks=("a",))
    found = ClipSeries(ResampledWindows(tmp_path), 256, "training").of(clips, np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert found.values.dtype == np.float32
    assert found.values.shape == (12 * 4 * 2, 256)  # the fifth second is left out
    eeg, ecg = windows_at_128_hz(clips, "eeg"), windows_at_128_hz(clips, "ecg")
    row = 0
    for windows, (mean, deviation) in ((eeg, (1.0, 2.0)), (ecg, (3.0, 4.0))):
        for window in range(12):
            for channel in range(windows.shape[1]):
                for start in (0, 256):
                    expected = (windows[window, channel, start : start + 256] - mean) / deviation
                    np.testing.assert_allclose(found.values[row], expected, rtol=1e-5, atol=1e-4)
                    assert found.clip_of[row] == clips.clip_of[window]
                    row += 1
    by_clip = found.by_clip(6)
    assert [set(found.clip_of[rows]) for rows in by_clip] == [{clip} for clip in range(6)]
    assert sum(map(len, by_clip)) == len(found)


def test_half_valid_series_stay_with_zeros_and_less_is_left_out(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=3, clips=1, windows=1, patches=4, channels=(2, 1))
    clips.valid_patches[:] = (4, 3, 0)
    clips.eeg_present[0, 1] = False
    clips.eeg[0, 1] = np.nan
    cut = ClipSeries(ResampledWindows(tmp_path), 256, "training")
    unit = cut.unit(clips)
    found = cut.of(clips, unit)
    assert found.clip_of.tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 1, 1]  # the EEG's, then the ECG's
    assert np.isfinite(found.values).all()
    assert (found.values[3, 128:] == 0).all()
    assert (found.values[3, :128] != 0).all()
    assert len(found.by_clip(3)[2]) == 0


def test_the_unit_is_of_valid_samples_and_gives_them_mean_0_and_sd_1(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=4, clips=2, windows=1, patches=4)
    clips.valid_patches[0], clips.eeg_present[1, 2] = 2, False
    clips.eeg[0, :, 2:] = 1e6  # neither must count
    clips.eeg[1, 2] = 1e6
    cut = ClipSeries(ResampledWindows(tmp_path), 128, "training")
    found = cut.of(clips, cut.unit(clips))
    assert cut.unit(clips)[0, 1] < 100
    of_eeg = len(found) - 2 * (4 * 7 + 2)
    for part in (found.values[:of_eeg], found.values[of_eeg:]):
        assert abs(part.mean(dtype=np.float64)) < 1e-3
        assert part.std(dtype=np.float64) == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(cut.unit(clips.of_subjects([])), [[0, 1], [0, 1]])


def test_each_series_by_itself_has_sd_1_whatever_the_unit(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=2, clips=1, windows=1, patches=4)
    clips.eeg[0] *= 50
    clips.valid_patches[1] = 3
    clips.ecg[0, 0] = 5  # flat
    cut = ClipSeries(ResampledWindows(tmp_path), 256, "series")
    found = cut.of(clips, np.array([[0.0, 1.0], [0.0, 1.0]]))
    flat = (found.values == 0).all(axis=1)
    assert flat.sum() == 2
    half = (found.values[:, 128:] == 0).all(axis=1) & ~flat
    assert half.sum() == 14 + 2
    for rows in (found.values[~flat & ~half], found.values[half][:, :128]):
        np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(rows.std(axis=1), 1, rtol=1e-4)


def test_a_series_longer_than_a_window_is_refused(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=2, clips=1, windows=1, patches=3)
    with pytest.raises(PhysiopipeError, match=r"A window has 3 s and a series 4 s: set segment_s"):
        ClipSeries(ResampledWindows(tmp_path), 512, "training").of(clips, np.array([[0.0, 1.0], [0.0, 1.0]]))
