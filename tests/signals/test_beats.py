"""Whether heartbeats are seen: in simulated ECG of every rhythm, upside down or at any rate; never in noise."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.cohorts.challenge_simulation import RHYTHMS, simulate_leads
from physiopipe.recordings.edf import read_edf_samples
from physiopipe.recordings.wfdb import read_wfdb_record
from physiopipe.signals.beats import Beats
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.padding import recorded_samples
from physiopipe.signals.resampling import resample_to_rates


def stored(signal: np.ndarray, rate_hz: float, rate: int = 200, mains_hz: float | None = 50.0) -> np.ndarray:
    """(channel, time) as `shard` sees it."""
    filtered = bandpass_notch(
        np.asarray(signal, np.float32)[None],
        rate_hz,
        highpass_hz=0.5,
        lowpass_hz=40.0,
        order=3,
        notch_hz=mains_hz,
        notch_quality=30.0,
    )
    return resample_to_rates(filtered, rate_hz, (rate,))[rate][0]


def absent(signal: np.ndarray, rate_hz: float = 200.0, window_s: float = 10.0) -> np.ndarray:
    starts = np.arange(0, max(signal.shape[-1] / rate_hz - window_s, 0) + 1e-6, window_s)
    return Beats(rate_hz).add(signal).absent(starts, window_s)


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("rate", [100, 200, 500])
def test_every_rhythm_has_beats_at_every_rate_and_either_way_up(rhythm: str, rate: int) -> None:
    for seed in range(5):
        leads = simulate_leads(np.random.default_rng(seed), rhythm, 10_000, 500, 50.0) / 1000
        ecg = stored(leads, 500.0, rate)
        for window_s in (2.0, 4.0, 10.0, 20.0):
            assert not absent(ecg, rate, window_s).any()
        np.testing.assert_array_equal(absent(-ecg, rate), absent(ecg, rate))
        assert not absent(np.rint(ecg * 1000).astype(np.int16), rate).any(), "as int16 of 1 µV"


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 100_000), channels=st.sampled_from([1, 2, 12]), window_s=st.sampled_from([2.0, 4.0, 10.0]))
def test_white_noise_has_none(seed: int, channels: int, window_s: float) -> None:
    noise = np.random.default_rng(seed).normal(size=(channels, 10_000))
    assert absent(stored(noise, 500.0), window_s=window_s).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), exponent=st.integers(-4, 6))
def test_the_unit_does_not_matter(seed: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    for signal in (simulate_leads(rng, "sinus", 5000, 500, 50.0)[:2] / 1000, rng.normal(size=(2, 5000))):
        ecg = stored(signal, 500.0)
        np.testing.assert_array_equal(absent(ecg * np.float32(2.0**exponent)), absent(ecg))


def test_one_lead_with_beats_is_enough_and_absent_ones_do_not_count() -> None:
    rng = np.random.default_rng(0)
    leads = np.vstack([rng.normal(0, 0.1, (3, 10_000)), simulate_leads(rng, "sinus", 10_000, 500, 50.0)[1] / 1000])
    beats = Beats(200.0).add(stored(leads, 500.0))
    assert not beats.absent([0.0, 10.0], 10.0).any()
    without = np.array([[True, True, True, False], [True] * 4])
    assert beats.absent([0.0, 10.0], 10.0, without).tolist() == [True, False]


def test_a_lead_that_falls_off_halfway_and_a_flat_one() -> None:
    ecg = stored(simulate_leads(np.random.default_rng(3), "sinus", 20_000, 500, 50.0)[1:2] / 1000, 500.0)
    ecg[:, 4000:] = np.random.default_rng(4).normal(0, 0.01, ecg[:, 4000:].shape)
    assert absent(ecg).tolist() == [False, False, True, True]
    assert absent(np.zeros((2, 4000), np.float32)).all()
    assert absent(np.zeros((2, 10), np.float32)).all(), "too short for a slope"


def test_a_stack_is_judged_as_its_recordings_are() -> None:
    rng = np.random.default_rng(5)
    ecg = np.stack([stored(simulate_leads(rng, rhythm, 7000, 500, 50.0)[:3] / 1000, 500.0) for rhythm in RHYTHMS])
    ecg[2] = stored(rng.normal(size=(3, 7000)), 500.0)
    together = Beats(200.0).add(ecg).absent([0.0, 2.0, 3.0], [10.0, 4.0, 11.0])
    for one, found in zip(ecg, together, strict=True):
        np.testing.assert_array_equal(Beats(200.0).add(one).absent([0.0, 2.0, 3.0], [10.0, 4.0, 11.0]), found)
    assert together.all(axis=1).tolist() == [number == 2 for number in range(len(RHYTHMS))]


@settings(deadline=None, max_examples=30)
@given(edges=st.lists(st.integers(0, 4000), max_size=6), rate=st.sampled_from([100.0, 200.0, 250.0]))
def test_pieces_are_judged_as_the_whole_is(edges: list[int], rate: float) -> None:
    ecg = simulate_leads(np.random.default_rng(1), "sinus", 4000, int(rate), 50.0)[:2].astype(np.float32)
    ecg[:, 2000:] = np.random.default_rng(2).normal(0, 0.1, (2, 2000))
    pieces = Beats(rate)
    for piece in np.split(ecg, sorted(edges), axis=1):
        pieces.add(piece)
    starts = np.arange(0, 4000 / rate - 4, 1.5)
    np.testing.assert_array_equal(pieces.absent(starts, 4.0), Beats(rate).add(ecg).absent(starts, 4.0))


def test_too_low_a_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="64 Hz is too low"):
        Beats(64.0)


@pytest.fixture(scope="module")
def sample() -> Path:
    folder = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not folder:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    return Path(folder)


@pytest.mark.sample
def test_two_real_recordings_of_eegmat_have_no_beats_and_the_others_have(sample: Path) -> None:
    without = []
    for path in sorted((sample / "eegmat" / "1.0.0").glob("*.edf")):
        samples = read_edf_samples(path, ("EEG Fp1", "ECG ECG"))
        ecg = samples.signal[1:, : recorded_samples(samples.signal, samples.rate_hz)]
        found = absent(stored(ecg, samples.rate_hz))
        assert found.all() == found.any(), f"{path.name}: {found}"
        if found.all():
            without.append(path.stem)
    assert without == ["Subject02_1", "Subject13_1"]


@pytest.mark.sample
def test_real_twelve_lead_records_have_beats(sample: Path) -> None:
    headers = sorted((sample / "challenge-2021" / "1.0.3").rglob("*.hea"))
    assert len(headers) == 166
    without = set()
    for path in headers:
        recording = read_wfdb_record(path, "any")
        if absent(stored(recording.signal, recording.rate_hz)).any():
            without.add(path.stem)
    assert without == {"JS45546"}  # ventricular flutter: broad complexes alone
