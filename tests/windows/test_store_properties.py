"""Any windows, in shards of any size, come back to every reader; memory and open files set no limit."""

import multiprocessing
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.codecs
from hypothesis import given, settings
from hypothesis import strategies as st
from made_parts import PATCHES, counts_of, write_part

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, write_json
from physiopipe.windows import zarr_shards as shards
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.damage import damage_of_cohort
from physiopipe.windows.part import QUALITY_FLAGS, StoredWindows
from physiopipe.windows.pretraining import load_windows
from physiopipe.windows.store import StoredSamples, WindowStore
from physiopipe.windows.zarr_shards import ShardedReader, ShardedWriter

SHAPE = (2, 1, 3)
BLOCKS = st.lists(st.integers(0, 9), max_size=6)


@contextmanager
def _shards_of(windows: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_WINDOWS", windows)
        yield


def _cohort(folder: Path, windows_per_record: list[int]) -> WindowStore:
    collect_cohort("challenge", [write_part(folder / "part", 1, windows_per_record)], folder / "windows", {})
    return WindowStore(folder / "windows")


@settings(max_examples=40, deadline=None)
@given(BLOCKS, st.integers(1, 8), st.integers(0, 99))
def test_blocks_come_back_whole_to_both_readers(blocks: list[int], shard_windows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    written = [rng.integers(-32768, 32768, (count, *SHAPE)).astype(np.int16) for count in blocks]
    expected = np.concatenate([np.zeros((0, *SHAPE), np.int16), *written])
    with tempfile.TemporaryDirectory() as scratch, _shards_of(shard_windows):
        folder = Path(scratch) / "windows"
        writer = ShardedWriter(folder, SHAPE)
        for block in written:
            writer.append(block)
        writer.close()
        stored = zarr.open_array(folder, mode="r")
        np.testing.assert_array_equal(stored[:], expected)
        reader = ShardedReader(folder)
        assert (reader.windows, reader.window_shape) == (len(expected), SHAPE)
        mapped = [reader.map_shard(n) for n in range(-(-len(expected) // shard_windows))]
        np.testing.assert_array_equal(np.concatenate([expected[:0], *mapped]), expected)


def test_shards_are_laid_out_as_zarr_python_would_have_them(tmp_path: Path) -> None:
    windows = np.random.default_rng(0).integers(-9, 9, (10, *SHAPE)).astype(np.int16) | 1  # zarr leaves out zeros
    with _shards_of(4):
        ours = ShardedWriter(tmp_path / "ours", SHAPE)
        ours.append(windows)
        ours.close()
    theirs = zarr.create_array(
        tmp_path / "theirs",
        shape=windows.shape,
        dtype=np.int16,
        chunks=(1, *SHAPE),
        shards=(4, *SHAPE),
        compressors=None,
        filters=None,
        chunk_key_encoding={"name": "default", "separator": "."},
    )
    theirs[:] = windows
    reader = ShardedReader(tmp_path / "ours")
    for number in range(3):
        first = (tmp_path / "ours" / f"c.{number}.0.0.0").read_bytes()
        second = (tmp_path / "theirs" / f"c.{number}.0.0.0").read_bytes()
        assert len(first) == len(second)
        # zarr-python lays the windows of a shard in Morton order: the same windows, the same length of index
        np.testing.assert_array_equal(reader.map_shard(number), windows[4 * number : 4 * number + 4])
    ours_metadata, theirs_metadata = (read_json(tmp_path / name / "zarr.json") for name in ("ours", "theirs"))
    for key in ("shape", "data_type", "chunk_grid", "codecs", "fill_value", "chunk_key_encoding"):
        assert ours_metadata[key] == theirs_metadata[key], key


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any), st.integers(1, 6), st.randoms())
def test_gathering_any_rows_gives_their_windows(counts: list[int], shard_windows: int, random: object) -> None:
    with tempfile.TemporaryDirectory() as scratch, _shards_of(shard_windows):
        store = _cohort(Path(scratch), counts)
        rows = store.rows("ecg", (100, 200))
        expected = [counts_of(1, n, rate, count) for n, count in enumerate(counts) for rate in (100, 200) if count]
        order = np.random.default_rng(random.getrandbits(32)).integers(0, len(rows), 30)  # type: ignore[attr-defined]
        windows, scale, valid = store.gather(rows[order])
        np.testing.assert_array_equal(windows, np.concatenate(expected)[order])
        np.testing.assert_array_equal(StoredSamples(store, rows)[order], windows)
        for found, again in zip((scale, valid), store.scale_and_valid(rows[order]), strict=True):
            np.testing.assert_array_equal(found, again)
        assert damage_of_cohort(store.folder) == {}


def test_windows_beyond_memory_are_read_by_batch_and_are_the_same(tmp_path: Path) -> None:
    store = _cohort(tmp_path, [3, 2, 4])
    rows = store.rows("ecg", (100, 200))
    resident, mapped = load_windows(store, rows), load_windows(store, rows, memory_bytes=0)
    assert isinstance(resident.samples, np.ndarray)
    assert isinstance(mapped.samples, StoredSamples)
    assert mapped.samples.shape == resident.samples.shape
    assert mapped.samples.dtype == resident.samples.dtype
    assert len(mapped) == len(resident)
    assert mapped.digest() == resident.digest()
    for chosen in (np.array([5, 0, 5]), slice(None, None, 4), slice(0, 0)):
        np.testing.assert_array_equal(mapped.samples[chosen], resident.samples[chosen])


@pytest.mark.parametrize("hard", [60, 400])
def test_more_shards_than_files_that_may_be_open(tmp_path: Path, hard: int) -> None:
    with _shards_of(1):
        store = _cohort(tmp_path, [70])
        rows = store.rows("ecg", (100,))
        expected = store.gather(rows)[0]
    program = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from physiopipe.windows.store import WindowStore\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (60, int(sys.argv[3])))\n"
        "store = WindowStore(Path(sys.argv[1])); rows = store.rows('ecg', (100,))\n"
        "for _ in range(2): windows = store.gather(rows)[0]\n"
        "np.save(sys.argv[2], windows)\n"
    )
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip(f"this machine allows fewer than {hard} open files")
    found = tmp_path / "found.npy"
    subprocess.run([sys.executable, "-c", program, str(store.folder), str(found), str(hard)], check=True)
    np.testing.assert_array_equal(np.load(found), expected)


def test_a_spawned_worker_maps_the_store_itself(tmp_path: Path) -> None:
    store = _cohort(tmp_path, [3, 2])
    rows = store.rows("ecg", (100,))
    here = store.gather(rows)[0]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(store.gather, (rows,))[0], here)


@pytest.mark.parametrize(
    ("key", "value"),
    [("data_type", "float16"), ("codecs", [{"name": "bytes"}, {"name": "zstd"}]), ("shape", [5]), ("chunk_grid", {})],
)
def test_an_array_of_another_kind_is_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    writer = ShardedWriter(tmp_path / "windows", SHAPE)
    writer.append(np.ones((2, *SHAPE), np.int16))
    writer.close()
    metadata = tmp_path / "windows" / "zarr.json"
    write_json(metadata, read_json(metadata) | {key: value})
    with pytest.raises(PhysiopipeError, match=r"zarr\.json: expected .*found"):
        ShardedReader(tmp_path / "windows")


def test_windows_of_two_modalities_are_not_gathered_together(tmp_path: Path) -> None:
    ecg = write_part(tmp_path / "ecg", 1, [2])
    eeg = write_part(tmp_path / "eeg", 2, [2], modality="eeg", unit="uV", patches=3)
    collect_cohort("challenge", [ecg, eeg], tmp_path / "windows", {})
    store = WindowStore(tmp_path / "windows")
    assert store.gather(store.rows("eeg", (100,)))[0].shape == (2, 3, 3, 200)
    assert store.attributes("eeg", 100)["unit"] == "uV"
    for rows in (np.arange(len(store.index)), np.zeros(0, np.int64)):
        with pytest.raises(ValueError, match="one modality, at least one"):
            store.gather(rows)


def test_rows_that_do_not_fit_their_windows_are_refused() -> None:
    good: dict[str, object] = {
        "counts": {rate: np.zeros((1, 1, 3, PATCHES, 200), np.int16) for rate in (100, 200)},
        "scale": np.ones((1, 2), np.float32),
        "start_s": np.zeros(2),
        "valid_patches": np.full(2, PATCHES, np.int16),
        "saturated": np.zeros((1, 2), np.int64),
        "present": np.ones((1, 2, 3), bool),
        "flags": {flag: np.zeros((1, 2), bool) for flag in QUALITY_FLAGS},
    }
    StoredWindows(**good)  # type: ignore[arg-type]
    for name, value in {
        "scale": np.zeros((1, 2), np.float32),
        "start_s": np.zeros(3),
        "valid_patches": np.full(2, PATCHES + 1, np.int16),
        "present": np.ones((1, 2, 4), bool),
        "flags": {},
    }.items():
        with pytest.raises(ValueError, match=r"flags|scale|windows|valid_patches"):
            StoredWindows(**good | {name: value})  # type: ignore[arg-type]
