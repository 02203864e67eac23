"""The store: what is written is read back, by us and by zarr-python; equal inputs are equal bytes; damage is told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from made_parts import CHANNELS, PATCHES, counts_of, write_part

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json
from physiopipe.windows import zarr_shards as shards
from physiopipe.windows.checksums import folder_checksum
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.damage import damage_of_cohort
from physiopipe.windows.part import index_schema
from physiopipe.windows.store import WindowStore

PARAMETERS: dict[str, object] = {}  # none are stated, so none are compared


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_WINDOWS", 4)


def _cohort(tmp_path: Path) -> Path:
    parts = [
        write_part(tmp_path / "parts" / "1", 1, [3, 0, 2, 7]),
        write_part(tmp_path / "parts" / "2", 2, [1]),
        write_part(tmp_path / "parts" / "3", 3, [0, 0]),
    ]
    target = tmp_path / "windows"
    collect_cohort("challenge", parts, target, PARAMETERS)
    return target


@pytest.mark.usefixtures("small_shards")
def test_windows_come_back_as_written_in_any_order(tmp_path: Path) -> None:
    store = WindowStore(_cohort(tmp_path))
    rows = store.rows("ecg", (200,))
    assert len(rows) == 13
    rng = np.random.default_rng(0)
    drawn = rng.choice(rows, 40)
    windows, scale, valid = store.gather(drawn)
    for at, row in enumerate(drawn):
        entry = store.index.iloc[row]
        batch, record = int(entry["part"][1:]), int(entry["record"].split("r")[1])
        count = int(entry["record_windows"])
        number = round(entry["start_s"] / 2)
        assert np.array_equal(windows[at], counts_of(batch, record, 200, count)[number])
        assert scale[at] == np.float32(0.001) * (record + 1)
        assert valid[at] == PATCHES


@pytest.mark.usefixtures("small_shards")
def test_zarr_python_reads_the_same(tmp_path: Path) -> None:
    folder = _cohort(tmp_path)
    group = zarr.open_group(folder / "ecg-100hz" / "part-b1.zarr", mode="r")
    expected = np.concatenate([counts_of(1, record, 100, count) for record, count in ((0, 3), (2, 2), (3, 7))])
    windows = group["windows"]
    assert isinstance(windows, zarr.Array)
    assert windows.shards == (4, 3, PATCHES, 200)
    assert windows.chunks == (1, 3, PATCHES, 200)
    np.testing.assert_array_equal(windows[:], expected)
    np.testing.assert_allclose(group["scale"][:], np.repeat([0.001, 0.003, 0.004], [3, 2, 7]), rtol=1e-6)
    assert group.attrs["unit"] == "mV"
    assert group.attrs["rate_hz"] == 100
    assert group.attrs["channels"] == list(CHANNELS)


def test_the_default_shard_is_read_by_zarr_python_too(tmp_path: Path) -> None:
    write_part(tmp_path / "part", 1, [1030], rates_hz=(100,))
    stored = zarr.open_group(tmp_path / "part" / "ecg-100hz.zarr", mode="r")["windows"]
    assert isinstance(stored, zarr.Array)
    np.testing.assert_array_equal(stored[1020:1030], counts_of(1, 0, 100, 1030)[1020:])


def test_index_names_every_window_once_with_its_columns(tmp_path: Path) -> None:
    store = WindowStore(_cohort(tmp_path))
    index = store.index
    assert list(index.columns) == index_schema(("valence",)).names
    assert len(index) == 26 == store.manifest["windows"]
    assert not index.duplicated(["modality", "rate_hz", "part", "row"]).any()
    third = index[index["record"] == "b1r3"].iloc[0]
    assert third["channel_mask"] == 0b011
    assert third["derived_mask"] == 0b100
    assert third["record_flags"] == "checksum"
    assert third["wander"]
    assert not third["flat"]
    assert np.isnan(third["valence"])


def test_rejected_records_have_a_row_and_a_count(tmp_path: Path) -> None:
    folder = _cohort(tmp_path)
    rejected = pd.read_csv(folder / "rejected.csv")
    assert rejected.to_dict("list") == {"record": ["b1r1", "b3r0", "b3r1"], "reason": ["gave no window"] * 3}
    assert read_json(folder / "manifest.json")["rejected"] == 3


def test_equal_parts_are_equal_bytes(tmp_path: Path) -> None:
    once = write_part(tmp_path / "once", 1, [3, 0, 5])
    again = write_part(tmp_path / "again", 1, [3, 0, 5])
    assert folder_checksum(once) == folder_checksum(again)


def test_collecting_again_gives_the_same_bytes_and_leaves_parts_alone(tmp_path: Path) -> None:
    folder = _cohort(tmp_path)
    parts = folder_checksum(tmp_path / "parts")
    first = folder_checksum(folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o444)  # as DVC leaves what it has linked from its cache
    collect_cohort("challenge", [tmp_path / "parts" / name for name in "123"], folder, PARAMETERS)
    assert folder_checksum(folder) == first
    assert folder_checksum(tmp_path / "parts") == parts
    assert damage_of_cohort(folder) == {}


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    folder = _cohort(tmp_path)
    shard = folder / "ecg-100hz" / "part-b1.zarr" / "windows" / "c.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.unlink()  # a hard link of the part
    shard.write_bytes(content)
    problems = damage_of_cohort(folder)
    assert list(problems) == [shard]


@pytest.mark.parametrize("damage", ["cut", "index", "gone", "metadata"])
def test_damaged_shards_are_refused_and_named(tmp_path: Path, damage: str) -> None:
    folder = _cohort(tmp_path)
    array = folder / "ecg-100hz" / "part-b1.zarr" / "windows"
    shard = array / "c.0.0.0.0"
    content = shard.read_bytes()
    shard.unlink()
    if damage == "cut":
        shard.write_bytes(content[:-10])
    elif damage == "index":
        shard.write_bytes(content[:-10] + b"x" + content[-9:])
    elif damage == "metadata":
        shard.write_bytes(content)
        (array / "zarr.json").unlink()
    store = WindowStore(folder)
    with pytest.raises(PhysiopipeError, match=r"part-b1\.zarr"):
        store.gather(store.rows("ecg", (100,)))


def test_a_cohort_without_any_window_is_an_error(tmp_path: Path) -> None:
    part = write_part(tmp_path / "part", 3, [0, 0])
    with pytest.raises(PhysiopipeError, match="none of its records gave a window"):
        collect_cohort("challenge", [part], tmp_path / "windows", PARAMETERS)
    assert not (tmp_path / "windows").exists()


def test_a_missing_cohort_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match="snakemake --cores 2"):
        WindowStore(tmp_path)


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import made_parts\n"
        "print('begun', flush=True)\n"
        "made_parts.write_part(pathlib.Path(sys.argv[2]), 1, [2000] * 200)\n"
    )
    target = tmp_path / "part"
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent), str(target)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        while not list(tmp_path.glob(".part.partial/*/windows/c.*")):
            assert writer.poll() is None
        os.kill(writer.pid, signal.SIGKILL)
    assert not target.exists()
    write_part(target, 1, [2])
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert folder_checksum(target) == folder_checksum(write_part(tmp_path / "other", 1, [2]))
