"""A long recording in pieces is stored as it would be in one: within one unit, at every rate, with the same index."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prepared import defaults

from physiopipe.params import Filter, Shard
from physiopipe.recordings.recording import Recording, RecordingBatch, Unit, recording_batch_of
from physiopipe.signals import pieces as signal_pieces
from physiopipe.signals.filters import ringing_s
from physiopipe.signals.pieces import pieces_of
from physiopipe.signals.quality import Judged, measure_blocks, measure_blocks_of_long
from physiopipe.windows import prepare
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, resample_batch
from physiopipe.windows.shard import shard_batch
from physiopipe.windows.store import WindowStore

ECG = defaults().filter["challenge"]["ecg"]
LEADS = 3


def rough(seconds: float, rate_hz: float, seed: int = 0) -> np.ndarray:
    """Millivolts: beats, drift, muscle noise, steps of 4 mV (a moved electrode) and mains that comes and goes."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    beats = np.exp(-0.5 * ((time % 0.83 - 0.4) / 0.012) ** 2)
    drift = np.sin(2 * np.pi * 0.05 * time) + 0.5 * np.sin(2 * np.pi * 0.21 * time)
    steps = 4.0 * (np.searchsorted(np.sort(rng.uniform(0, seconds, 40)), time) % 2)
    mains = 0.2 * np.sin(2 * np.pi * 50 * time) * (np.sin(2 * np.pi * time / 97) > 0)
    noise = 0.05 * rng.normal(size=(LEADS, time.size))
    beats *= time < 0.6 * seconds  # then the electrodes are off
    return (np.array([[1.0], [0.7], [-0.4]]) * beats + drift + steps + mains + noise).astype(np.float32)


def stack_of(signal: np.ndarray, rate_hz: float, unit: Unit = "mV") -> RecordingBatch:
    return recording_batch_of([Recording(signal, rate_hz, tuple("abc"), unit, "ptb", "r", "r")])


def stored(
    folder: Path, stack: RecordingBatch, rates_hz: tuple[int, ...], shard: Shard, band: Filter = ECG
) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The index, and the windows and their units at each rate."""
    filter_batch([stack], folder / "filtered.batch", band)
    resample = defaults().resample["challenge"]["ecg"].model_copy(update={"rates_hz": rates_hz})
    resample_batch(folder / "filtered.batch", folder / "resampled.batch", resample)
    shard_batch(
        folder / "resampled.batch", folder / "part", PartName("challenge", "ecg", "b", "d", False), rates_hz, shard
    )
    collect_cohort("challenge", [folder / "part"], folder / "windows", {})
    store = WindowStore(folder / "windows")
    gathered = [store.gather(store.rows("ecg", (rate,))) for rate in rates_hz]
    return store.index, [array for windows, scale, _ in gathered for array in (windows, scale)]


@pytest.mark.parametrize("align", ["start", "end"])
@pytest.mark.parametrize(
    ("rate_hz", "rates_hz", "seconds"),
    [(257.0, (100, 257, 500), 1100.3), (500.0, (100, 1000), 420.7), (128.5, (100, 200), 1500.0)],
)
def test_pieces_differ_by_one_unit_at_most(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate_hz: float,
    rates_hz: tuple[int, ...],
    seconds: float,
    align: str,
) -> None:
    shard = Shard(max_windows_per_record=None, align=align)  # type: ignore[arg-type]
    stack = stack_of(rough(seconds, rate_hz), rate_hz)
    assert stack.signal.shape[2] > signal_pieces.LONG_SAMPLES
    index, found = stored(tmp_path / "pieces", stack, rates_hz, shard)
    monkeypatch.setattr(prepare, "LONG_SAMPLES", 10**9)
    expected_index, expected = stored(tmp_path / "whole", stack, rates_hz, shard)
    pd.testing.assert_frame_equal(index, expected_index)
    assert index.groupby("rate_hz")["no_beats"].mean().between(0.2, 0.5).all()
    for one, other in zip(found, expected, strict=True):
        if one.dtype == np.int16:
            assert np.abs(one.astype(np.int32) - other).max() <= 1
            assert np.mean(one != other) < 0.02
        else:
            np.testing.assert_array_equal(one, other)


def test_a_signal_of_no_known_unit_differs_by_its_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its windows have a unit of their own, the peak's 32767th part: finer than float32 sums of a long transform."""
    stack = stack_of(1000 * rough(700, 257.0), 257.0, "unspecified")
    shard = Shard(max_windows_per_record=20)
    _, (windows, scale) = stored(tmp_path / "pieces", stack, (200,), shard)
    monkeypatch.setattr(prepare, "LONG_SAMPLES", 10**9)
    _, (expected, expected_scale) = stored(tmp_path / "whole", stack, (200,), shard)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-4)
    assert np.abs(windows.astype(np.int32) - expected).max() <= 1


def test_what_exceeds_int16_in_one_piece_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal = rough(1200, 257.0)
    signal[1, 200_000:200_040] += 90.0  # mV
    shard = Shard(max_windows_per_record=None)
    index, found = stored(tmp_path / "pieces", stack_of(signal, 257.0), (100, 200), shard)
    monkeypatch.setattr(prepare, "LONG_SAMPLES", 10**9)
    expected_index, expected = stored(tmp_path / "whole", stack_of(signal, 257.0), (100, 200), shard)
    assert index["saturated"].sum() > 0
    pd.testing.assert_frame_equal(index, expected_index)
    assert max(np.abs(one - 1.0 * other).max() for one, other in zip(found, expected, strict=True)) <= 1


def test_samples_that_are_not_finite_reject_the_whole_recording(tmp_path: Path) -> None:
    signal = rough(1200, 257.0)
    signal[2, -5] = np.nan
    filter_batch([stack_of(signal, 257.0)], tmp_path / "filtered.batch", ECG)
    (item,) = prepare.read_batch(tmp_path / "filtered.batch")
    assert "NaN" in item.reason  # type: ignore[union-attr]


@pytest.mark.parametrize("samples", [131_073, 462_600, 1_000_001])
def test_blocks_of_a_long_recording_are_those_of_a_short_one(samples: int) -> None:
    signal = rough(samples / 257, 257.0)[:, :samples]
    signal[0, 1000:1100] = signal[0].max()  # clipped
    expected = measure_blocks(signal, 257.0, Judged(50.0, 0.5, 3))
    found = measure_blocks_of_long(
        lambda first, end: signal[:, first:end], signal.shape[1], 257.0, Judged(50.0, 0.5, 3)
    )
    assert found.block_s == expected.block_s
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("samples", "grid", "context"), [(131_073, 257, 2570), (500_000, 500, 5000), (10, 257, 257)])
def test_pieces_touch_and_begin_on_the_grid(samples: int, grid: int, context: int) -> None:
    found = pieces_of(samples, grid, context)
    assert [piece.first for piece in found] == [0, *(piece.end for piece in found[:-1])]
    assert found[-1].end == samples
    for piece in found:
        assert piece.first % grid == piece.start % grid == 0
        assert piece.start == max(piece.first - context, 0)
        assert piece.stop == min(piece.end + context, samples)


@pytest.mark.parametrize(("highpass_hz", "order", "notch_quality"), [(0.5, 3, 30.0), (0.3, 6, 30.0), (1.0, 2, 300.0)])
def test_a_step_is_forgotten_within_the_ringing(highpass_hz: float, order: int, notch_quality: float) -> None:
    from physiopipe.signals.filters import bandpass_notch

    rings_s = ringing_s(highpass_hz=highpass_hz, order=order, notch_hz=50.0, notch_quality=notch_quality)
    rate_hz = 250.0
    step = np.zeros(round(4 * rings_s * rate_hz))
    step[round(1.5 * rings_s * rate_hz) :] = 1.0
    filtered = bandpass_notch(
        step, rate_hz, highpass_hz=highpass_hz, lowpass_hz=60.0, order=order, notch_hz=50.0, notch_quality=notch_quality
    )
    after = filtered[round(2.5 * rings_s * rate_hz) : round(2.6 * rings_s * rate_hz)]
    assert np.abs(after).max() < 2e-5
