"""Batches between rules: what goes in comes out, in equal bytes, whole or not at all."""

import errno
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.batchfile import BatchWriter, read_batch
from physiopipe.recordings.recording import OF_EACH, Recording, RecordingBatch, Rejected, in_batches, recording_batch_of

RNG = np.random.default_rng(3)


def recording(record: str = "E00001", samples: int = 500, **more: object) -> Recording:
    signal = RNG.standard_normal((3, samples)).astype(np.float32)
    known = {"rate_hz": 500.0, "channels": ("I", "II", "V1"), "unit": "mV", "source": "georgia", "subject": record}
    return Recording(signal=signal, record=record, **{**known, **more})  # type: ignore[arg-type]


def write(path: Path, items: list[Recording | RecordingBatch], rejects: tuple[tuple[str, str], ...] = ()) -> Path:
    with BatchWriter(path) as writer:
        for item in items:
            writer.add(as_stack(item))
        for row in rejects:
            writer.add(Rejected(*row))
    return path


def as_stack(item: Recording | RecordingBatch) -> RecordingBatch:
    return recording_batch_of([item]) if isinstance(item, Recording) else item


def check_equal(found: RecordingBatch, expected: RecordingBatch | Recording) -> None:
    expected = as_stack(expected)
    for name in (field.name for field in fields(RecordingBatch)):
        if isinstance(getattr(expected, name), np.ndarray):
            assert getattr(found, name).dtype == np.float32
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        else:
            assert getattr(found, name) == getattr(expected, name)


def test_neighbours_that_are_alike_are_stacked_and_the_order_stays() -> None:
    alike = [recording(name, missing=("II",) if name == "b" else ()) for name in "abc"]
    others = [recording("d", samples=499), recording("e", rate_hz=257.0), recording("f", source="ptb")]
    items = [*alike, Rejected("x", "why"), recording("y"), *others]
    found = list(in_batches(items))
    assert [getattr(item, "record", None) for item in found] == [("a", "b", "c"), "x", ("y",), ("d",), ("e",), ("f",)]
    stack = found[0]
    assert isinstance(stack, RecordingBatch)
    assert (len(stack), stack.missing) == (3, ((), ("II",), ()))
    for number, one in enumerate(alike):
        np.testing.assert_array_equal(stack.signal[number], one.signal)
        assert all(getattr(stack, name)[number] == getattr(one, name) for name in OF_EACH)


def test_stacks_stay_small_however_many_recordings_are_alike() -> None:
    many = [recording(str(number), samples=60_000) for number in range(7)]
    assert [len(stack) for stack in in_batches(many)] == [2, 2, 2, 1]
    assert [len(stack) for stack in in_batches([recording("long", samples=400_000)] * 2)] == [1, 1]


def test_a_stack_survives(tmp_path: Path) -> None:
    (made,) = in_batches([recording(name, ratings={"valence": 1.0}, flags=("amplitude",)) for name in "abc"])
    assert isinstance(made, RecordingBatch)
    made = replace(made, blocks=RNG.random((3, 6, 3, 4), np.float32), block_s=0.5)
    (found,) = read_batch(write(tmp_path / "batch.batch", [made]))
    assert isinstance(found, RecordingBatch)
    check_equal(found, made)


def test_what_goes_in_comes_out_in_order(tmp_path: Path) -> None:
    clip = recording(
        "s01_c02_eeg", unit="uV", subject="s01", clip=2, source="dreamer", ratings={"valence": 3.0, "arousal": 1.0},
        missing=("II",), derived=("V1",), flags=("amplitude",),
    )  # fmt: skip
    items = [recording("b"), recording("a", samples=1, rate_hz=257.0), recording("b", rate_hz=100.0), clip]
    rejects = (("c", "NaN: 3 samples"), ("d", 'Länge, „falsch“, "x"'))
    path = write(tmp_path / "batch.batch", items, rejects)
    found = list(read_batch(path))
    assert found[:2] == [Rejected(*row) for row in rejects]
    for one, other in zip(found[2:], items, strict=True):
        assert isinstance(one, RecordingBatch)
        check_equal(one, other)


def test_int16_signals_keep_their_type_and_step(tmp_path: Path) -> None:
    counts = RNG.integers(-32768, 32767, (1, 3, 50), dtype=np.int16)
    made = replace(recording_batch_of([recording()]), signal=counts, step=0.001)
    (found,) = read_batch(write(tmp_path / "batch.batch", [made]))
    assert found.signal.dtype == np.int16
    assert found.step == 0.001
    np.testing.assert_array_equal(found.signal, counts)


def test_signals_are_the_readers_own(tmp_path: Path) -> None:
    path = write(tmp_path / "batch.batch", [recording(), recording("E2")])
    for item in read_batch(path):
        item.signal[:] += 1


def test_what_strangers_wrote_is_shortened_before_it_gets_into_a_table(tmp_path: Path) -> None:
    long = Rejected("E" * 140_000, "no usable lead: " + "V\n\0" * 140_000)
    with BatchWriter(tmp_path / "x.batch") as writer:
        writer.add(long)
        writer.add(Rejected("E00001", "\N{GREEK SMALL LETTER MU}" * 200))
    first, second = read_batch(tmp_path / "x.batch")
    assert isinstance(first, Rejected)
    assert (len(first.record), len(first.reason)) == (200, 200)
    assert first.reason.startswith("no usable lead: V  V  V")
    assert first.reason.endswith("...")
    assert first.reason.isprintable()
    assert second == Rejected("E00001", "\N{GREEK SMALL LETTER MU}" * 200)


def test_an_empty_batch_is_a_batch(tmp_path: Path) -> None:
    path = write(tmp_path / "batch.batch", [])
    assert list(read_batch(path)) == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    signal=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1), elements=st.floats(width=32)),
    rate_hz=st.floats(0.1, 1e5),
    record=st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_any_recording_survives(tmp_path: Path, signal: np.ndarray, rate_hz: float, record: str) -> None:
    made = Recording(signal, rate_hz, tuple(f"c{row}" for row in range(len(signal))), "mV", "x", record, record)
    (found,) = read_batch(write(tmp_path / "batch.batch", [made]))
    check_equal(found, made)


def test_equal_recordings_are_equal_bytes(tmp_path: Path) -> None:
    items = [recording("a"), recording("b")]
    one = write(tmp_path / "one.batch", items, (("c", "why"),)).read_bytes()
    assert write(tmp_path / "other.batch", items, (("c", "why"),)).read_bytes() == one


def test_a_signal_that_is_a_view_is_written_as_it_looks(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(8, 3)
    made = Recording(base.T[:, ::2], 1.0, ("a", "b", "c"), "mV", "x", "r", "r")
    (found,) = read_batch(write(tmp_path / "batch.batch", [made]))
    np.testing.assert_array_equal(found.signal, base.T[None, :, ::2])


@pytest.mark.parametrize("signal", [np.zeros((1, 2, 3)), np.zeros((2, 3), np.float32), np.zeros((1, 2, 3), np.int32)])
def test_anything_but_float32_or_int16_channel_time_is_refused(tmp_path: Path, signal: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"), BatchWriter(tmp_path / "batch.batch") as writer:
        writer.add(replace(recording_batch_of([recording()]), signal=signal))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "batch.batch", [recording("old")])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="midway"), BatchWriter(path) as writer:  # noqa: PT012 - both are needed
        writer.add(recording_batch_of([recording("new")]))
        raise RuntimeError("midway")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["batch.batch"]


def test_metadata_that_is_no_json_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), BatchWriter(tmp_path / "batch.batch") as writer:
        writer.add(recording_batch_of([recording(ratings={"valence": np.float32(3)})]))
    assert list(tmp_path.iterdir()) == []


def test_any_cut_or_flipped_byte_is_a_plain_error_or_changes_nothing(tmp_path: Path) -> None:
    items = [recording("a", samples=40), recording("b", samples=40)]
    whole = write(tmp_path / "batch.batch", items).read_bytes()
    path = tmp_path / "damaged.batch"
    damaged = [whole[:length] for length in range(0, len(whole), 37)]
    damaged += [whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :] for at in range(0, len(whole), 11)]
    errors = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            found = list(read_batch(path))
        except PhysiopipeError as error:
            assert "It is removed: run again" in str(error)  # noqa: PT017 - either outcome is right
            assert not path.exists()
            errors += 1
        else:
            for one, other in zip(found, items, strict=True):
                check_equal(one, other)
    assert errors == len(damaged)


def test_a_disk_that_cannot_be_read_costs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "batch.batch", [recording()])

    def broken(*_: object) -> RecordingBatch:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("physiopipe.recordings.batchfile._read_stack", broken)
        with pytest.raises(PhysiopipeError, match=r"cannot be read .*Input/output error"):
            list(read_batch(path))
    assert len(list(read_batch(path))) == 1


def test_a_missing_file_or_another_format_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"none\.batch is missing"):
        list(read_batch(tmp_path / "none.batch"))
    np.savez(tmp_path / "other.batch.npz", x=np.zeros(3))
    with pytest.raises(PhysiopipeError, match="not a batch of recordings"):
        list(read_batch(tmp_path / "other.batch.npz"))
    assert (tmp_path / "other.batch.npz").exists()
