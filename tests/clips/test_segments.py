from pathlib import Path

import numpy as np
import pytest

from physiopipe.clips.resampled import ResampledWindows
from physiopipe.clips.segments import ScaledWindows, segments_of
from physiopipe.errors import PhysiopipeError


def test_segments_are_stretches_in_order_and_only_valid_ones(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=2, clips=2, windows=2, patches=3, channels=(4, 2))
    clips.eeg_present[0, 1] = False
    clips.valid_patches[3] = 1  # half of a segment of 2 s, and nothing of one that follows
    clips.eeg_present[5], clips.ecg_present[6] = False, False
    windows = ResampledWindows(tmp_path).of(clips, "eeg")
    found = segments_of(windows, clips, ("eeg",), 128)
    expected = [(w, s) for w in range(8) if w != 5 for s in range(1 if w == 3 else 3)]
    np.testing.assert_array_equal(found.values, [windows[w, :, s * 128 : (s + 1) * 128] for w, s in expected])
    np.testing.assert_array_equal(found.clip_of, [clips.clip_of[w] for w, _ in expected])
    assert [len(rows) for rows in found.by_clip(4)] == [6, 4, 3, 6]
    assert (found.values[:3, 1] == 0).all()
    assert len(segments_of(windows, clips, ("eeg",), 256)) == 7  # a second is left over
    assert len(segments_of(windows, clips, ("eeg", "ecg"), 384)) == 7  # one second of three is too little
    with pytest.raises(PhysiopipeError, match=r"a segment 3\.125 s: set segment_s"):
        segments_of(windows, clips, ("eeg",), 400)


def test_every_channel_is_on_one_scale(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=2, clips=2, windows=2, patches=2, channels=(3, 1), effect=0.0)
    clips.eeg[:, 1] = clips.eeg[:, 1] * 40 + 3000
    clips.eeg_present[2, 0] = False
    clips.eeg_present[:, 2] = False
    clips.valid_patches[4] = 1
    scaled = ScaledWindows(ResampledWindows(tmp_path))
    unit = scaled.unit(clips)
    np.testing.assert_array_equal(unit[2], (0, 1))  # nobody has it
    for values, each in ((scaled.by_unit(clips, unit), False), (scaled.by_window(clips), True)):
        assert (values[2, 0] == 0).all()
        assert (values[:, 2] == 0).all()
        assert (values[4, :, 128:] == 0).all()
        whole = np.delete(values, (2, 4), axis=0)[:, [0, 1, 3]]
        np.testing.assert_allclose(whole.std(axis=2), 1, atol=1e-3 if each else 0.4)
        np.testing.assert_allclose(whole.mean(axis=(0, 2)), 0, atol=1e-3 if each else 0.2)
    valid = np.r_[values[[0, 1, 3, 5, 6, 7], 1].ravel(), values[4, 1, :128]]
    assert valid.std() == pytest.approx(1, abs=1e-3)
