"""Real Emotiv EEG and real EEG with ECG through readers and preprocessing, as DREAMER goes."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import defaults, store_windows
from scipy.io import arff

from physiopipe.clips.features import band_power, r_peaks
from physiopipe.cohorts.dreamer import EEG_CHANNELS
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder
from physiopipe.recordings.edf import in_unit, read_edf_samples
from physiopipe.recordings.recording import Recording, in_batches
from physiopipe.windows.store import WindowStore

pytestmark = pytest.mark.sample
OUTLIER = 5000.0  # counts: the recording stays within 4000 to 4800 but for four wild samples


@pytest.fixture(scope="module")
def recordings() -> Path:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    return Path(sample) / "multimodal"


@pytest.fixture(scope="module")
def emotiv(recordings: Path) -> Recording:
    rows, about = arff.loadarff(recordings / "emotiv14_eye_state.arff")
    assert tuple(about.names()[:14]) == EEG_CHANNELS
    signal = np.stack([rows[name] for name in EEG_CHANNELS]).astype(np.float32)
    return Recording(signal, 128.0, EEG_CHANNELS, "uV", "dreamer", "s01_c01_eeg", "s01", 1)


def stored(folder: Path, found: dict[str, Recording]) -> WindowStore:
    """Windows of recordings by modality, through DREAMER's own steps."""
    batches = {modality: in_batches([recording]) for modality, recording in found.items()}
    return WindowStore(store_windows(folder, "dreamer", batches, defaults(), simulated=False))


def windows_of(store: WindowStore, modality: str) -> np.ndarray:
    counts, scale, valid = store.gather(store.rows(modality, (200,)))
    assert (valid == 10).all()
    return counts.astype(np.float32) * scale[:, None, None, None]


def test_emotiv_loses_its_offset_and_its_outliers_are_flagged_not_dropped(emotiv: Recording, tmp_path: Path) -> None:
    assert 4000 < np.median(emotiv.signal) < 4600
    wild = np.flatnonzero((np.abs(emotiv.signal) > OUTLIER).any(axis=0)) / 128
    assert len(wild) == 4
    store = stored(tmp_path, {"eeg": emotiv})
    found = windows_of(store, "eeg")
    assert found.shape == (11, 14, 10, 200)  # 117 s, cut back from the end, none left out
    assert np.isfinite(found).all()
    index = store.index
    start = index["start_s"].to_numpy()
    hit = np.array([((wild >= s) & (wild < s + 10)).any() for s in start])
    assert hit.any()
    assert index["amplitude"].to_numpy()[hit].all(), "a wild outlier reaches the artefact limit"
    calm = found[~index["amplitude"].to_numpy()]
    assert (
        len(calm) >= 2
    )  # the filter rings for seconds after a sample of 700,000 counts: those windows are flagged too
    assert np.abs(calm.mean(axis=(2, 3))).max() < 5  # the offset near 4200 is gone
    assert 3 < np.median(calm.std(axis=(2, 3))) < 60  # of EEG in µV
    assert (store.index["missing"] == 0).all()
    assert not store.index["flat"].any()
    dead = emotiv.signal.copy()
    dead[4] = 4350.0
    index = stored(tmp_path / "dead", {"eeg": replace(emotiv, signal=dead)}).index
    assert index["flat"].all()
    assert (index["channel_mask"] == 0b11111111101111).all()


def test_emotiv_feeds_features_and_encoder(emotiv: Recording, tmp_path: Path) -> None:
    found = windows_of(stored(tmp_path, {"eeg": emotiv}), "eeg")
    assert np.isfinite(band_power(found)).all()
    with torch.inference_mode():
        features = CrissCrossEncoder(Encoder(layers=2)).features(torch.from_numpy(found / 100))
    assert features.isfinite().all()


def test_eeg_and_ecg_recorded_together_stay_together(recordings: Path, tmp_path: Path) -> None:
    path = recordings / "psg_eeg_ecg_120s.edf"
    channels = ("F3-M2", "F4-M1", "C3-M2", "C4-M1", "O1-M2", "O2-M1")
    eeg, ecg = (
        Recording(in_unit(samples, unit), samples.rate_hz, named, unit, "edf", f"s01_{modality}", "s01")
        for named, modality, unit in ((channels, "eeg", "uV"), (("ECG",), "ecg", "mV"))
        for samples in (read_edf_samples(path, named),)
    )
    assert (eeg.rate_hz, ecg.rate_hz) == (200.0, 200.0)
    assert eeg.signal.shape == (6, 24000)
    assert ecg.signal.shape == (1, 24000)
    store = stored(tmp_path, {"eeg": eeg, "ecg": ecg})
    starts = {m: store.index.loc[store.index["modality"] == m, "start_s"].tolist() for m in ("eeg", "ecg")}
    assert starts["eeg"] == starts["ecg"] == [10.0 * i for i in range(12)]
    brain, heart = windows_of(store, "eeg"), windows_of(store, "ecg")
    assert 1 < np.median(brain.std(axis=(2, 3))) < 60
    window, sample = r_peaks(heart.reshape(12, 1, 2000))
    beats = np.bincount(window, minlength=12)
    rate = 6 * beats
    assert (rate > 40).all()
    assert (rate < 110).all()
    assert rate.std() < 10  # a resting heart, in every window alike
    # the heart is where it was: each R peak of a window is one of the raw recording, at the same second
    at_s = np.sort(window * 10 + sample / 200)
    raw_window, raw_sample = r_peaks(ecg.signal[None])
    raw_s = raw_sample[raw_window == 0] / 200
    nearest = np.abs(at_s[:, None] - raw_s[None]).min(axis=1)
    assert np.median(nearest) < 0.02
    assert (nearest < 0.06).mean() > 0.95
