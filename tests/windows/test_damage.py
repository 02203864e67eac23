"""A flipped bit anywhere in stored windows is seen by whoever reads it first, and goes from every place it has."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from made_parts import write_part
from prepared import defaults

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json, sealed, write_json
from physiopipe.plan import cohort_parameters
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.damage import damage_of_cohort, damage_of_part, remove_from_cohort
from physiopipe.windows.identity import part_digest
from physiopipe.windows.store import WindowStore

PARAMETERS = cohort_parameters(defaults(), "challenge")
SHARD = "ecg-100hz.zarr/windows/c.0.0.0.0"


def part_of(root: Path, batch: int) -> Path:
    """A part in the folder that is its own."""
    inputs = f"{batch:064x}"
    digest = part_digest(PARAMETERS, name="challenge", modality="ecg", inputs=inputs, simulated=False)
    folder = root / "challenge-ecg" / f"b{batch}" / digest
    return write_part(folder, batch, [3, 2], digest=digest, inputs=inputs)


def collected(tmp_path: Path) -> tuple[list[Path], Path]:
    parts = [part_of(tmp_path / "parts", batch) for batch in (1, 2)]
    collect_cohort("challenge", parts, tmp_path / "windows" / "challenge", PARAMETERS)
    return parts, tmp_path / "windows" / "challenge"


def flip(path: Path, at: int | None = None) -> None:
    """Turn one bit of a file round, in place, as a disk does: every name of it has the damage, and its times stay."""
    times = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as handle:
        place = times.st_size // 2 if at is None else at
        handle.seek(place)
        byte = handle.read(1)[0]
        handle.seek(place)
        handle.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("name", [SHARD, "ecg-200hz.zarr/scale/c.0", "index.parquet", "rejected.csv", "part.json"])
def test_a_damaged_part_is_named_and_removed_and_the_others_stay(tmp_path: Path, name: str) -> None:
    parts = [part_of(tmp_path / "parts", batch) for batch in (1, 2)]
    flip(parts[0] / name)
    with pytest.raises(PhysiopipeError, match=f"{name}.*\n.*are removed.*Run again"):
        collect_cohort("challenge", parts, tmp_path / "windows", PARAMETERS)
    assert [part.exists() for part in parts] == [False, True]
    part_of(tmp_path / "parts", 1)
    collect_cohort("challenge", parts, tmp_path / "windows", PARAMETERS)
    assert damage_of_cohort(tmp_path / "windows") == {}


@pytest.mark.parametrize("change", ["gone", "not parquet", "no part.json"])
def test_a_part_that_lacks_something_is_removed(tmp_path: Path, change: str) -> None:
    part = part_of(tmp_path / "parts", 1)
    if change == "not parquet":
        (part / "index.parquet").write_text("x")
    else:
        (part / ("index.parquet" if change == "gone" else "part.json")).unlink()
    with pytest.raises(PhysiopipeError, match="Run again"):
        collect_cohort("challenge", [part], tmp_path / "windows", PARAMETERS)
    assert not part.exists()


@pytest.mark.parametrize("name", ["ecg-100hz/part-b1.zarr/windows/c.0.0.0.0", "ecg-100hz/part-b1.zarr/scale/c.0"])
def test_whoever_reads_a_damaged_array_first_stops(tmp_path: Path, name: str) -> None:
    _, windows = collected(tmp_path)
    flip(windows / name, 9)
    store = WindowStore(windows)
    for _ in range(2):  # not only the first time
        with pytest.raises(PhysiopipeError, match=r"part-b1\.zarr.*damaged.*physiopipe verify --remove"):
            store.gather(store.rows("ecg", (100,)))
    assert len(store.gather(store.rows("ecg", (200,)))[0])


@pytest.mark.parametrize("name", ["index.parquet", "ecg-100hz/part-b1.zarr/zarr.json", "manifest.json"])
def test_whoever_reads_a_damaged_table_or_description_stops(tmp_path: Path, name: str) -> None:
    _, windows = collected(tmp_path)
    at = (windows / name).read_bytes().index(b'"wander"') + 1 if name == "manifest.json" else None
    flip(windows / name, at)
    with pytest.raises(PhysiopipeError, match="damaged"):
        WindowStore(windows).attributes("ecg", 100) if "zarr" in name else WindowStore(windows).index
    assert list(damage_of_cohort(windows)) == [windows / name]


@pytest.mark.slow  # DVC itself says where its cache is: two processes of it
def test_damage_goes_from_windows_parts_and_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes its hard link for good, and would restore it; a copy that it made of the damage as well."""
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    parts, windows = collected(tmp_path)
    cached = tmp_path / ".dvc/cache/files/md5"
    linked, copied, sound = cached / "01/link", cached / "23/copy", cached / "45/sound"
    for path in (linked, copied, sound):
        path.parent.mkdir(parents=True)
    shard = windows / "ecg-100hz/part-b1.zarr/windows/c.0.0.0.0"
    shutil.copyfile(shard, sound)
    os.link(shard, linked)
    flip(shard)
    shutil.copyfile(shard, copied)
    for path in (linked, copied, sound):
        path.chmod(0o444)
    damage = damage_of_cohort(windows)
    assert list(damage) == [shard]
    assert damage_of_part(parts[0])
    gone = remove_from_cohort(windows, damage, tmp_path / "parts")
    assert set(gone) == {linked, copied, parts[0], windows}
    assert [path.exists() for path in (*gone, sound, parts[1])] == [False] * 4 + [True] * 2


def test_a_part_in_another_parts_folder_is_removed(tmp_path: Path) -> None:
    one, other = (part_of(tmp_path / "parts", batch) for batch in (1, 2))
    shutil.rmtree(one)
    shutil.copytree(other, one)
    with pytest.raises(PhysiopipeError, match="other recordings or parameters than its folder"):
        collect_cohort("challenge", [one], tmp_path / "windows", PARAMETERS)
    assert not one.exists()


@pytest.mark.parametrize("change", ["parameters", "inputs", "source_sha256"])
def test_a_manifest_that_states_other_inputs_is_refused(tmp_path: Path, change: str) -> None:
    _, windows = collected(tmp_path)
    manifest = read_json(windows / "manifest.json")
    if change == "parameters":
        manifest["parameters"]["filter"]["ecg"]["highpass_hz"] = 0.7
    elif change == "inputs":
        manifest["parts"][0]["inputs"] = "0" * 64
    else:
        manifest[change] = "0" * 64
    write_json(windows / "manifest.json", sealed(manifest))  # consistent with itself, and not with its parts
    with pytest.raises(PhysiopipeError, match=r"manifest\.json.*Delete"):
        WindowStore(windows)


def test_the_manifest_says_no_place(tmp_path: Path) -> None:
    _, windows = collected(tmp_path)
    text = (windows / "manifest.json").read_text()
    assert "physionet" not in text
    assert str(tmp_path) not in text


@pytest.mark.workflow
def test_verify_and_a_rerun_make_a_study_whole_again(tmp_path: Path) -> None:
    """Damage in every kind of file that a study keeps: told by what reads it, made anew by the next run."""
    from studies import new_study

    study = new_study(tmp_path / "study")
    study.preset("tiny", "data.challenge.sources=[georgia]")
    snakemake = ("snakemake", "--cores", "2", "--", "data/windows/challenge/manifest.json")
    dreamer = (*snakemake[:-1], "data/windows/dreamer/manifest.json")
    study.run(*snakemake)
    study.run(*dreamer)
    windows = study.folder / "data/windows"
    right = {name: (windows / name / "manifest.json").read_bytes() for name in ("challenge", "dreamer")}
    assert study.run("physiopipe", "verify").count(": whole") == 2

    shard = windows / "challenge/ecg-100hz/part-georgia.g1.zarr/windows/c.0.0.0.0"
    flip(shard, 9)
    output = study.run("physiopipe", "verify", expect=2)
    assert "ecg-100hz/part-georgia.g1.zarr/windows/c.0.0.0.0: not the bytes" in output
    assert "physiopipe verify --remove" in output
    assert shard.exists()
    study.run("physiopipe", "verify", "--remove", expect=2)
    study.run(*snakemake)

    for kept, remake in (
        ("data/raw/challenge-simulated/training/georgia/g1/sim_E00001.mat", "challenge"),
        ("data/raw/dreamer-unpacked/*/eeg.batch", "dreamer"),
        ("data/parts/dreamer-ecg/dreamer/*/index.parquet", "dreamer"),
    ):
        (path,) = study.folder.glob(kept)
        target = dreamer if remake == "dreamer" else snakemake
        if "parts" not in kept:
            shutil.rmtree(study.folder / "data/parts")
        (windows / remake / "manifest.json").unlink()
        if "raw/challenge" in kept:  # a hard link of what was simulated
            shutil.copy2(path, tmp_path / "copy")
            path.unlink()
            shutil.copy2(tmp_path / "copy", path)
        flip(path)
        output = study.run(*target, expect=1)
        assert path.name in output.rpartition("\nerror: ")[2]
        assert "Traceback" not in output
        study.run(*target)
        assert path.exists()
    assert right == {name: (windows / name / "manifest.json").read_bytes() for name in right}
    assert study.run("physiopipe", "verify").count(": whole") == 2
