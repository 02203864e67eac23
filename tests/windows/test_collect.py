"""A cohort is linked from parts that fit together, appears whole, and every later change of it is found."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_parts import write_part

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, sealed, write_json
from physiopipe.windows.checksums import described, folder_checksum
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.damage import damage_of_cohort


def _cohort(tmp_path: Path) -> Path:
    parts = [write_part(tmp_path / "parts" / "1", 1, [3, 0, 2]), write_part(tmp_path / "parts" / "2", 2, [1])]
    collect_cohort("challenge", parts, tmp_path / "windows", {})
    return tmp_path / "windows"


def test_arrays_are_links_and_tables_are_files_of_their_own(tmp_path: Path) -> None:
    folder = _cohort(tmp_path)
    stored = folder / "ecg-100hz" / "part-b1.zarr" / "windows" / "c.0.0.0.0"
    assert stored.samefile(tmp_path / "parts" / "1" / "ecg-100hz.zarr" / "windows" / "c.0.0.0.0")
    for name in ("index.parquet", "rejected.csv", "manifest.json"):
        assert (folder / name).stat().st_nlink == 1


def test_the_manifest_describes_every_array_and_what_made_it(tmp_path: Path) -> None:
    manifest = read_json(_cohort(tmp_path) / "manifest.json")
    found = {array["path"]: (array["windows"], array["rate_hz"]) for array in manifest["arrays"]}
    assert found == {
        f"ecg-{rate}hz/part-b{batch}.zarr": (windows, rate)
        for batch, windows in ((1, 5), (2, 1))
        for rate in (100, 200)
    }
    for array in manifest["arrays"]:
        folder = tmp_path / "parts" / array["path"].partition("part-b")[2][0] / f"ecg-{array['rate_hz']}hz.zarr"
        assert folder_checksum(folder) == {key: array[key] for key in ("bytes", "blake3")}
    first = manifest["parts"][0]
    assert (first["digest"], first["records"], first["rejected"]) == ("digest1", 2, 1)
    assert first["derived"] == {"III": 10}
    assert first["flags"]["wander"] == 10
    assert set(first["tools"]) == set(manifest["tools"]) == {"physiopipe", "numpy", "scipy", "pyarrow"}


@pytest.mark.parametrize("fault", ["other cohort", "one batch twice", "other unit", "record twice", "cut"])
def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path, fault: str) -> None:
    parts = [write_part(tmp_path / "1", 1, [3]), write_part(tmp_path / "2", 2, [2])]
    if fault == "other cohort":
        parts.append(write_part(tmp_path / "3", 3, [1], cohort="dreamer"))
    elif fault == "one batch twice":
        parts.append(write_part(tmp_path / "3", 1, [1]))
    elif fault == "other unit":
        parts.append(write_part(tmp_path / "3", 3, [1], unit="uV"))
    elif fault == "record twice":
        parts.append(write_part(tmp_path / "3", 1, [1]))
        about = read_json(parts[-1] / "part.json")
        _rename_part(parts[-1] / "index.parquet", "b3")
        files = about["files"] | {"index.parquet": described(parts[-1] / "index.parquet")}
        write_json(parts[-1] / "part.json", sealed(about | {"batch": "b3", "files": files}))
    else:
        shard = parts[1] / "ecg-100hz.zarr" / "windows" / "c.0.0.0.0"
        os.truncate(shard, shard.stat().st_size - 1)
    said = {
        "other cohort": "cohort dreamer",
        "one batch twice": "both batch b1",
        "other unit": "one kind",
        "record twice": "in more than one part.*b1r0",
        "cut": "not the bytes that were written",
    }
    with pytest.raises(PhysiopipeError, match=said[fault]):
        collect_cohort("challenge", parts, tmp_path / "windows", {})
    assert not (tmp_path / "windows").exists()


def _rename_part(path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from physiopipe.windows.part import write_index

    table = pq.read_table(path)
    field = table.schema.field("part")
    write_index(
        path,
        table.set_column(table.schema.get_field_index("part"), field, pa.array([name] * len(table), type=field.type)),
    )


@pytest.mark.parametrize("change", ["index.parquet", "rejected.csv", "array gone", "index gone", "array added"])
def test_every_change_of_a_cohort_is_found(tmp_path: Path, change: str) -> None:
    folder = _cohort(tmp_path)
    assert damage_of_cohort(folder) == {}
    array = folder / "ecg-200hz" / "part-b2.zarr"
    if change == "array gone":
        shutil.rmtree(array)
    elif change == "array added":
        shutil.copytree(array, array.with_name("part-b9.zarr"))
    elif change == "index gone":
        (folder / "index.parquet").unlink()
    else:
        (folder / change).write_bytes((folder / change).read_bytes() + b"\n")
    ((path, _),) = damage_of_cohort(folder).items()
    assert change.split()[0].replace("array", "ecg-200hz/part-b") in str(path)


@pytest.mark.slow
def test_a_killed_collect_leaves_nothing_and_the_next_is_whole(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import made_parts\n"
        "from physiopipe.windows import zarr_shards; zarr_shards.SHARD_WINDOWS = 1\n"
        "from physiopipe.windows.collect import collect_cohort\n"
        "root = pathlib.Path(sys.argv[2])\n"
        "part = root / 'part'\n"
        "if not part.exists(): made_parts.write_part(part, 1, [3000], rates_hz=(100,))\n"
        "print('begun', flush=True)\n"
        "collect_cohort('challenge', [part], root / sys.argv[3], {})\n"
    )
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path)]
    subprocess.run([*arguments, "undisturbed"], check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*arguments, "windows"], stdout=subprocess.PIPE) as collecting:
        assert collecting.stdout is not None
        collecting.stdout.readline()
        while not (tmp_path / ".windows.partial" / "ecg-100hz").exists():
            assert collecting.poll() is None
        os.kill(collecting.pid, signal.SIGKILL)
    assert not (tmp_path / "windows").exists()
    subprocess.run([*arguments, "windows"], check=True, stdout=subprocess.DEVNULL)
    assert folder_checksum(tmp_path / "windows") == folder_checksum(tmp_path / "undisturbed")
    assert not (tmp_path / ".windows.partial").exists()
