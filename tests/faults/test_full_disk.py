"""A disk that fills up: a plain error, nothing half-made under a final name, and a rerun that ends well with room."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_study import SNAKEMAKE, WINDOWS, Undisturbed, check_finished_parts, check_like, simulated_copy
from studies import Study

pytestmark = pytest.mark.workflow
NO_ROOM = "no space left on device"
ENOUGH = "64m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, of 64 KiB until a test lets it grow."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def fails_plainly(study: Study) -> None:
    output = study.run(*SNAKEMAKE, expect=1)
    told = [line for line in output.splitlines() if line.startswith("error: ")]
    assert told, output
    assert all(NO_ROOM in line or "are free" in line for line in told), told
    assert "Traceback" not in output
    check_finished_parts(study)
    assert not (study.folder / WINDOWS).exists()


def move_to(disk: Path, study: Study, name: str) -> None:
    """Keep a folder of a study on the small disk, by a link."""
    folder = study.folder / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        subprocess.run(["cp", "-a", "--", str(folder), str(disk / folder.name)], check=True)
        subprocess.run(["rm", "-r", "--", str(folder)], check=True)
    (disk / folder.name).mkdir(exist_ok=True)
    folder.symlink_to(disk / folder.name)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("data/parts", "1m"),
        pytest.param("data/parts", "64k", marks=pytest.mark.exhaustive),
        pytest.param("data/parts", "2m", marks=pytest.mark.exhaustive),
        pytest.param("data/work", "128k", marks=pytest.mark.exhaustive),
        pytest.param("data/work", "1m", marks=pytest.mark.exhaustive),
        pytest.param("data/raw", "1m", marks=pytest.mark.exhaustive),
    ],
)
def test_one_folder_fills_up(undisturbed: Undisturbed, tmp_path: Path, small_disk: Path, name: str, size: str) -> None:
    study = simulated_copy(undisturbed.study, tmp_path / "study")
    resize(small_disk, size)
    move_to(small_disk, study, name)
    fails_plainly(study)
    resize(small_disk, ENOUGH)
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)


@pytest.mark.exhaustive
@pytest.mark.parametrize("free_kib", [100, 1000, 2000, 3000, 4000, 5000])
def test_the_whole_data_folder_fills_up(
    undisturbed: Undisturbed, tmp_path: Path, small_disk: Path, free_kib: int
) -> None:
    study = simulated_copy(undisturbed.study, tmp_path / "study")
    resize(small_disk, ENOUGH)
    move_to(small_disk, study, "data")
    used = subprocess.run(["du", "-sk", small_disk], capture_output=True, text=True, check=True).stdout.split()[0]
    resize(small_disk, f"{int(used) + free_kib}k")
    fails_plainly(study)
    resize(small_disk, ENOUGH)
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)


@pytest.mark.parametrize("what", ["params.yaml", "a checkpoint of training"])
def test_a_write_that_says_nothing_itself_is_named(undisturbed: Undisturbed, small_disk: Path, what: str) -> None:
    """The error of `write` has no path, and torch's own says nothing of a disk."""
    writes = "temporary.write_text('x' * 200_000)"
    if what != "params.yaml":
        writes = "import torch; torch.save(torch.zeros(100_000), temporary.open('wb'))"
    program = (
        "import sys\nfrom pathlib import Path\nfrom physiopipe import cli, files\n"
        "@cli.app.command()\ndef fill(place: Path) -> None:\n"
        f"    with files.atomic_file(place) as temporary:\n        {writes}\n"
        "sys.argv = ['physiopipe', 'fill', sys.argv[1]]\ncli.main()\n"
    )
    output = undisturbed.study.run("python", "-c", program, str(small_disk / what), expect=2)
    expected = f"error: {NO_ROOM}: {small_disk / what}. Free some space and run again; finished work is kept.\n"
    assert output == expected
    assert list(small_disk.iterdir()) == []
