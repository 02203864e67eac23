"""The end of what was recorded, on signals padded in every way, and on the real files that it was made for."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.recordings.edf import read_edf_header, read_edf_samples
from physiopipe.signals.padding import LEAST_PADDING_S, recorded_samples

RATE = 100.0
LEAST = round(LEAST_PADDING_S * RATE)


def moving(seed: int, channels: int, samples: int) -> np.ndarray:
    """Signals that differ from sample to sample, away from 0 by much more than a step of 16 bits."""
    steps = np.random.default_rng(seed).uniform(0.5, 1.5, (channels, samples)).astype(np.float32)
    return steps + 3 * np.arange(samples, dtype=np.float32) % 7 + 5


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 10_000),
    channels=st.integers(1, 5),
    samples=st.integers(2, 300),
    held=st.integers(0, 80),
    zeros=st.integers(0, 80),
)
def test_what_was_recorded_is_found_whatever_follows_it(
    seed: int, channels: int, samples: int, held: int, zeros: int
) -> None:
    recorded = moving(seed, channels, samples)
    still = np.repeat(recorded[:, -1:], held, axis=1)
    rest = np.random.default_rng(seed).uniform(-5e-5, 5e-5, (channels, 1)) * np.ptp(recorded, axis=1, keepdims=True)
    padded = np.hstack([recorded, still, np.repeat(rest, zeros, axis=1)]).astype(np.float32)
    found = recorded_samples(padded, RATE)
    if held >= LEAST and (zeros >= LEAST or not zeros):
        assert found == samples
    elif zeros >= LEAST:  # what is held so shortly may have been recorded
        assert found in (samples, samples + held)
    elif not zeros and held + 1 < LEAST:
        assert found == samples + held
    assert recorded_samples(padded[:, :found], RATE) == found, "what is left has no padding"


@pytest.mark.parametrize("level", [0.0, 4.0])
def test_one_channel_that_moves_is_a_recording(level: float) -> None:
    signal = moving(0, 3, 400)
    signal[:2, 200:] = level  # two electrodes fall off
    assert recorded_samples(signal, RATE) == 400
    signal[2, 300:] = signal[2, 299]
    assert recorded_samples(signal, RATE) == 300


def test_a_still_stretch_in_the_middle_is_a_recording() -> None:
    signal = moving(0, 2, 400)
    signal[:, 100:200] = 0
    assert recorded_samples(signal, RATE) == 400


def test_held_far_from_zero_after_an_earlier_pause() -> None:
    signal = moving(1, 2, 400)
    signal[:, 250:300] = signal[:, 249:250]
    signal[:, 300:] = signal[:, 299:300] + 9  # a step, then held: that value was recorded once
    assert recorded_samples(signal, RATE) == 301


@pytest.mark.parametrize("value", [0.0, 7.0])
@pytest.mark.parametrize("samples", [0, 1, 500])
def test_nothing_was_recorded(value: float, samples: int) -> None:
    assert recorded_samples(np.full((3, samples), value, np.float32), RATE) == 0


@pytest.mark.sample
def test_the_real_files_end_where_their_authors_say() -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    files = sorted((Path(sample) / "eegmat" / "1.0.0").glob("*.edf"))
    assert len(files) == 32
    odd_s = {"Subject04_1.edf": 168.2, "Subject10_1.edf": 186.5}
    for path in files:
        samples = read_edf_samples(path, read_edf_header(path).labels)
        length = recorded_samples(samples.signal, samples.rate_hz)
        expected_s = odd_s.get(path.name, 180.0 if path.stem.endswith("_1") else 60.0)
        assert abs(length / samples.rate_hz - expected_s) < 0.06, path.name
        assert 1.3 < (samples.signal.shape[1] - length) / samples.rate_hz < 2.01
        assert (samples.signal[:, length] == samples.signal[:, length - 1]).all()
        assert (samples.signal[:, length - 1] != samples.signal[:, length - 2]).any()
