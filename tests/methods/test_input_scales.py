"""What encoders are given has the scale that they were pretrained on: ECG by the file's word, EEG told with its RMS."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_clips import planted_clips
from test_ours import SIZES, setup

from physiopipe.clips.amplitude import scale_remarks
from physiopipe.clips.embeddings import ecg_input, encoder_inputs
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.ours import Ours
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.normalisation import normalised
from physiopipe.models.weights import save_encoder
from physiopipe.params import Encoder


def encoder_of(path: Path, **metadata: str) -> Path:
    torch.manual_seed(3)
    save_encoder(path, CrissCrossEncoder(Encoder(**SIZES)), metadata)
    return path


def test_an_encoder_s_ecg_is_normalised_as_its_file_says(tmp_path: Path) -> None:
    clips = planted_clips(subjects=2, clips=2, windows=1)
    clips.ecg[:, 1] *= 5  # a lead that counts for more where leads are z-scored together
    found = {}
    for how in ("lead_zscore", "record_zscore", None):
        file = encoder_of(tmp_path / f"{how}.safetensors", **({"normalisation": how} if how else {}))
        model = Ours(setup(tmp_path, file))
        assert model._encoders.ecg_normalisation == (how or "lead_zscore")
        found[how] = model._embeddings(clips)
        with torch.inference_mode():
            inputs = encoder_inputs(clips, 100.0, model._encoders.ecg_normalisation)
            direct = model._two_encoders().eval()(*inputs).numpy()
        np.testing.assert_allclose(found[how], direct, rtol=1e-4, atol=1e-5)
        assert {"record_zscore": "z-scored together"}.get(str(how), "each lead of a window z-scored") in model.reads
    np.testing.assert_array_equal(found["lead_zscore"], found[None])
    assert np.abs(found["record_zscore"] - found["lead_zscore"]).max() > 0.01


@pytest.mark.parametrize("how", ["lead_zscore", "record_zscore", "millivolt"])
def test_it_is_what_pretraining_feeds(how: str) -> None:
    """The same stored counts, through the function that pretraining uses, and through clips."""
    random = np.random.default_rng(1)
    counts = random.integers(-3000, 3000, (4, 2, 3, 200)).astype(np.int16)
    scale = np.float32(0.001)
    clips = planted_clips(subjects=2, clips=2, windows=1)
    clips = replace(clips, ecg=counts.astype(np.float32) * scale, ecg_unit="mV")
    valid = torch.ones(4, 2, 3, dtype=torch.bool)
    wanted = normalised(torch.from_numpy(counts), torch.full((4,), 0.001), valid, how)
    torch.testing.assert_close(ecg_input(clips, how)[0], wanted, rtol=1e-4, atol=1e-5)


def test_millivolt_of_an_unknown_unit_and_an_unknown_word_are_refused(tmp_path: Path) -> None:
    clips = planted_clips(subjects=2, clips=2, windows=1)
    model = Ours(setup(tmp_path, encoder_of(tmp_path / "mv.safetensors", normalisation="millivolt")))
    with pytest.raises(PhysiopipeError, match="pretrained on millivolt, and the unit of this cohort's ECG is unspec"):
        model._embeddings(clips)
    assert np.isfinite(model._embeddings(replace(clips, ecg_unit="mV"))).all()
    odd = Ours(setup(tmp_path, encoder_of(tmp_path / "odd.safetensors", normalisation="by_age")))
    with pytest.raises(PhysiopipeError, match="scaled by 'by_age'; known are lead_zscore, record_zscore, millivolt"):
        odd._embeddings(clips)


@pytest.mark.parametrize(("scale_uv", "warned"), [(10.0, False), (100.0, False), (1000.0, True), (1.0, True)])
def test_the_eeg_s_rms_is_told_and_a_far_one_warned_of(scale_uv: float, warned: bool, tmp_path: Path) -> None:
    clips = planted_clips(subjects=2, clips=2, windows=1)
    clips.eeg[:] *= 20 / np.sqrt(np.square(clips.eeg).mean())
    first, *others = scale_remarks(clips, scale_uv)
    assert first == f"EEG: RMS 20 µV, {20 / scale_uv:.2g} once divided by {scale_uv:g} µV"
    assert [line.split(":")[0] for line in others] == ["WARNING"] * warned
    if warned:
        assert "encoders.eeg_scale_uv" in others[0]
    assert Ours(setup(tmp_path, eeg_scale_uv=scale_uv)).remarks(clips) == [first, *others]
