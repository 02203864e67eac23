"""Each flag on signals made to have it, and on signals that must not."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.params import Quality
from physiopipe.recordings.wfdb import read_wfdb_record
from physiopipe.signals.quality import FLAGS, Flags, Judged, RecordQuality, measure_blocks

RATE = 500.0
STARTS = np.arange(0.0, 20.0, 4.0)


def beats(rate_hz: float = RATE, leads: int = 3, length_s: float = 20.0, seed: int = 0) -> np.ndarray:
    """Something like an ECG in mV: sharp peaks every 0.8 s, slower waves, a little noise."""
    time = np.arange(round(length_s * rate_hz)) / rate_hz
    phase = (time % 0.8) - 0.3
    one = np.exp(-((phase / 0.012) ** 2)) + 0.25 * np.exp(-(((phase - 0.25) / 0.05) ** 2))
    noise = 0.01 * np.random.default_rng(seed).normal(size=(leads, time.size))
    return (np.linspace(0.5, 1.5, leads)[:, None] * one + noise).astype(np.float32)


def look(signal: np.ndarray, rate_hz: float = RATE, missing: list[int] = (), **changes: object) -> Flags:  # type: ignore[assignment]
    absent = np.isin(np.arange(signal.shape[0]), missing)
    settings_of = {"starts": STARTS, "window_s": 4.0, "mains_hz": 50.0, "limits": Quality()} | changes
    judged = Judged(settings_of["mains_hz"], settings_of.get("highpass_hz", 0.5), 3)  # type: ignore[arg-type]
    blocks = measure_blocks(signal, rate_hz, judged)
    quality = RecordQuality(blocks, missing=absent, limits=settings_of["limits"])  # type: ignore[arg-type]
    return quality.flags(settings_of["starts"], settings_of["window_s"])  # type: ignore[arg-type]


def raised(flags: Flags) -> dict[str, list[int]]:
    """Names of raised flags → windows."""
    return {name: np.flatnonzero(windows).tolist() for name, windows in flags.flags.items() if windows.any()}


@pytest.mark.parametrize("rate_hz", [128.0, 257.0, 500.0, 1000.0])
def test_a_clean_recording_raises_nothing(rate_hz: float) -> None:
    flags = look(beats(rate_hz), rate_hz)
    assert raised(flags) == {}
    assert tuple(flags.flags) == FLAGS
    assert not flags.flat_leads.any()
    assert flags.flat_leads.shape == (5, 3)


@pytest.mark.parametrize("rate_hz", [257.0, 500.0])
def test_a_lead_that_is_flat_for_one_window(rate_hz: float) -> None:
    signal = beats(rate_hz)
    signal[1, round(8 * rate_hz) : round(12 * rate_hz)] = 0.3
    flags = look(signal, rate_hz)
    assert raised(flags) == {"flat": [2]}
    assert np.argwhere(flags.flat_leads).tolist() == [[2, 1]]


def test_a_missing_lead_is_missing_and_not_flat() -> None:
    signal = beats()
    signal[2] = 0
    flags = look(signal, missing=[2])
    assert raised(flags) == {"missing": [0, 1, 2, 3, 4]}
    assert not flags.flat_leads.any()
    assert raised(look(signal)) == {"flat": [0, 1, 2, 3, 4]}


def test_clipping_where_samples_stay_at_the_rail() -> None:
    signal = beats()
    signal[0, 2000:4000] *= 6
    assert raised(look(np.clip(signal, -9, 2.0))) == {}  # peaks too short to reach the share
    assert raised(look(np.clip(signal, -9, 0.2))) != {}
    flags = look(np.clip(signal[:1], -9, 0.3))
    assert 1 in raised(flags)["clipping"]


def test_amplitude_is_judged_about_the_offset() -> None:
    signal = beats() + np.float32(4200)
    assert raised(look(signal)) == {}
    signal[1, 6100] += 10.5
    assert raised(look(signal)) == {"amplitude": [3]}
    signal[1, 6100] -= 21
    assert raised(look(signal)) == {"amplitude": [3]}


@pytest.mark.parametrize(
    ("frequency_hz", "mv", "found"),
    [(0.1, 3.0, False), (0.2, 1.0, False), (0.35, 1.0, True), (0.45, 0.3, True), (0.45, 0.05, False), (0.9, 1, False)],
)
def test_wander_is_what_the_high_pass_leaves_of_the_baseline(frequency_hz: float, mv: float, found: bool) -> None:
    """3 mV at 0.1 Hz have 40 times the power of these beats, and nothing of them is stored."""
    signal = beats()
    signal[0] += mv * np.sin(2 * np.pi * frequency_hz * np.arange(signal.shape[1]) / RATE).astype(np.float32)
    wander = look(signal).flags["wander"][1:-1]  # the first and the last second are as uncertain as the filter's
    assert wander.tolist() == [found] * 3
    assert look(signal, highpass_hz=0.05).flags["wander"].all() == (frequency_hz < 0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([257.0, 500.0]), st.floats(0.2, 1.0))
def test_the_share_of_wander_is_that_of_the_filtered_baseline(seed: int, rate_hz: float, highpass_hz: float) -> None:
    """Oracle: scipy's Butterworth, forward and backward, over a baseline and beats that are known apart."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(60 * rate_hz)) / rate_hz
    baseline = sum(
        rng.uniform(0.1, 1) * np.cos(2 * np.pi * round(60 * f) / 60 * time + rng.uniform(0, 6))
        for f in (0.15, 0.3, 0.4)
    )
    filtering = scipy.signal.butter(3, highpass_hz, "highpass", fs=rate_hz, output="sos")
    left = scipy.signal.sosfiltfilt(filtering, baseline, padlen=round(20 * rate_hz))
    lead = beats(rate_hz, 1, 60.0, seed)[0]
    lead -= lead.mean()
    inside = slice(round(20 * rate_hz), round(40 * rate_hz))
    share = float(np.mean(left[inside] ** 2) / np.mean(lead[inside] ** 2))
    signal = (baseline + lead)[None].astype(np.float32)
    for limit, found in ((share * 0.8 - 0.002, True), (share * 1.25 + 0.002, False)):
        if 0 <= limit <= 1:
            flags = look(
                signal, rate_hz, starts=np.array([20.0]), window_s=20.0, highpass_hz=highpass_hz,
                limits=Quality(wander_share=limit),
            )  # fmt: skip
            assert flags.flags["wander"].all() == found, (limit, share)


def test_an_offset_is_no_wander_and_wander_hides_no_mains() -> None:
    signal = beats()
    assert raised(look(signal + np.float32(5))) == {}
    time = np.arange(signal.shape[1]) / RATE
    signal[0] += 0.4 * np.sin(2 * np.pi * 50 * time) + 3 * np.sin(2 * np.pi * 0.1 * time)
    assert list(raised(look(signal))) == ["mains"]


@pytest.mark.parametrize("rate_hz", [257.0, 500.0, 1000.0])
@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_is_found_in_the_windows_that_have_it(rate_hz: float, mains_hz: float) -> None:
    signal = beats(rate_hz)
    time = np.arange(signal.shape[1]) / rate_hz
    signal[2] += np.where((time >= 4) & (time < 12), 0.4 * np.sin(2 * np.pi * (mains_hz + 0.2) * time), 0)
    assert raised(look(signal, rate_hz, mains_hz=mains_hz)) == {"mains": [1, 2]}
    assert raised(look(signal, rate_hz, mains_hz=None)) == {}
    assert raised(look(signal, rate_hz, mains_hz=mains_hz + 10)) == {}


def test_the_share_of_mains_is_measured() -> None:
    time = np.arange(10000) / RATE
    share = 0.3
    signal = np.sqrt(1 - share) * np.sin(2 * np.pi * 7 * time) + np.sqrt(share) * np.sin(2 * np.pi * 50 * time)
    for limit, found in ((share - 0.01, True), (share + 0.01, False)):
        flags = look(signal[None], limits=Quality(mains_share=limit))
        assert flags.flags["mains"].all() == found
        assert flags.flags["mains"].any() == found


def test_windows_of_every_rate_come_from_one_look() -> None:
    signal = beats()
    signal[1, 4000:6000] = 0
    quality = RecordQuality(
        measure_blocks(signal, RATE, Judged(50.0, 0.5, 3)), missing=np.zeros(3, bool), limits=Quality()
    )
    for window_s in (2.0, 4.0, 10.0, 20.0):
        starts = np.arange(0, 20, window_s)
        expected = [start >= 8 and start + window_s <= 12 for start in starts]
        assert quality.flags(starts, window_s).flags["flat"].tolist() == expected


def test_a_window_may_reach_past_the_end() -> None:
    flags = look(beats(length_s=5.3), starts=np.array([0.0, 4.0]))
    assert raised(flags) == {}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3000),
    st.sampled_from([128.0, 257.0, 500.0]),
    st.lists(st.floats(0, 30), max_size=5),
    st.floats(0.1, 30),
)
def test_any_windows_of_any_recording_are_judged(
    samples: int, rate_hz: float, starts: list[float], window_s: float
) -> None:
    signal = np.random.default_rng(samples).normal(size=(2, samples)).astype(np.float32)
    flags = look(signal, rate_hz, starts=np.array(starts), window_s=window_s)
    assert flags.flat_leads.shape == (len(starts), 2)
    assert all(windows.shape == (len(starts),) and windows.dtype == np.bool_ for windows in flags.flags.values())
    assert not flags.flags["amplitude"].any()


@pytest.mark.sample
def test_few_windows_of_real_records_are_flagged() -> None:
    """As a share of the raw power, which the high-pass takes away, 90 % of PTB's windows carried `wander`."""
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    counts: dict[str, dict[str, int]] = {}
    for header in sorted(Path(sample).glob("challenge-2021/1.0.3/training/*/*/*.hea")):
        source = header.parts[-3]
        recording = read_wfdb_record(header, source)
        length_s = recording.signal.shape[1] / recording.rate_hz
        mains_hz = 60.0 if source == "georgia" else 50.0
        starts = np.arange(0, length_s - 9.9, 10)
        flags = look(recording.signal, recording.rate_hz, starts=starts, window_s=10.0, mains_hz=mains_hz)
        mine = counts.setdefault(source, dict.fromkeys(("windows", *FLAGS), 0))
        mine["windows"] += starts.size
        for name, found in flags.flags.items():
            mine[name] += int(found.sum())
    every = {name: sum(mine[name] for mine in counts.values()) for name in ("windows", *FLAGS)}
    assert every["windows"] > 150
    assert every["missing"] == 0
    assert 0 < every["wander"] < 0.05 * every["windows"], every
    assert counts["ptb"]["wander"] < 0.1 * counts["ptb"]["windows"], counts["ptb"]
    assert sum(every[name] for name in ("flat", "clipping", "amplitude", "mains")) < 0.1 * every["windows"], every
