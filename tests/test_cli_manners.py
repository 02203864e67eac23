"""What a person meets on the command line besides errors in data: help, versions, places, edited parameters."""

import errno
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from verbs import run

from physiopipe.cli import of_the_disk
from physiopipe.params.presets import edited_by_hand, preset_with
from physiopipe.params.writing import dump_params

PRESETS = Path(__file__).parents[1] / "presets"
PHYSIOPIPE = str(Path(sys.executable).parent / "physiopipe")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with what `status` and `inputs` look at."""
    (tmp_path / "presets").symlink_to(PRESETS)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(dump_params(preset_with(PRESETS, "tiny", [])))
    return tmp_path


def test_the_installed_command_says_its_version_and_an_error_without_traceback(study: Path) -> None:
    def installed(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([PHYSIOPIPE, *arguments], cwd=study, capture_output=True, text=True, timeout=120)

    assert installed("--version").stdout == f"physiopipe {version('physiopipe')}\n"
    done = installed("simulate", "--cohort", "dreamr")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_help_has_two_groups_of_verbs(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--help")
    assert code == 0
    yours, workflow = output.index("For you"), output.index("For the workflow")
    assert yours < output.index("status") < workflow < output.index("resample")


def test_a_study_is_found_from_a_folder_below_it(study: Path) -> None:
    below = study / "notes" / "today"
    below.mkdir(parents=True)
    code, output = run(below, "status")
    assert code == 0
    assert f"in {study}" in output
    assert "windows of dreamer (simulated): not begun" in output
    assert "free:" in output


def test_status_counts_what_is_done(study: Path) -> None:
    (study / "results/dreamer/predictions").mkdir(parents=True)
    (study / "results/dreamer/predictions/chance.parquet").touch()
    output = run(study, "status")[1]
    assert "methods on dreamer: 1 of 6; left: always_high, clip_prior, handcrafted, ours, mixture" in output
    assert "next: dvc repro" in output


def test_platforms_are_named_and_another_one_is_a_plain_error(study: Path) -> None:
    assert "Linux and macOS; Windows in WSL" in " ".join(run(study, "--help")[1].split())
    program = "import sys\nsys.modules['fcntl'] = None\nfrom physiopipe.cli import main\nmain()\n"  # as on Windows
    done = subprocess.run([sys.executable, "-c", program, "status"], cwd=study, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: physiopipe needs the locks of POSIX (`fcntl`). It is for Linux and macOS; ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("typed", "offered"), [("sta", "status"), ("report --coh", "--cohort")])
def test_a_shell_completes_verbs_and_options(study: Path, typed: str, offered: str) -> None:
    line = f"physiopipe {typed}"
    asked = {"_PHYSIOPIPE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run([PHYSIOPIPE], cwd=study, env=os.environ | asked, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [offered], done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("simulate", "--cohort", "dreamr"), "did you mean 'dreamer'"),
        (("simulate", "--cohort", "eegmat"), "the study does not use the cohort 'eegmat'"),
        (
            ("resample", "--cohort", "challenge", "--modality", "eeg", "--filtered", "a", "--output", "b"),
            "the cohort 'challenge' has no 'eeg'; it has: ecg",
        ),
        (("status", "--params", "presets"), "is a folder, expected a parameter file"),
        (("finetune", "--cohort", "challenge", "--method", "ours"), "is for pretraining here"),
    ],
)
def test_a_wrong_name_is_a_plain_error_and_nothing_is_written(
    study: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = sorted(path.name for path in study.iterdir())
    code, output = run(study, *arguments)
    assert code == 2
    assert said in output.splitlines()[-1]
    assert sorted(path.name for path in study.iterdir()) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_place_that_may_not_be_written_is_told_in_a_line(number: int) -> None:
    words = of_the_disk(PermissionError(number, os.strerror(number), "/some/place"))
    assert words is not None
    assert words.startswith(f"/some/place: {os.strerror(number).lower()}")
    assert of_the_disk(FileNotFoundError(errno.ENOENT, "", "/some/place")) is None  # told by who looked for it


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(study: Path) -> None:
    study.chmod(0o555)
    try:
        code, output = run(study, "preset", "demo", "--force")
    finally:
        study.chmod(0o755)
    assert code == 2
    assert "permission denied" in output


def test_parameters_that_were_edited_are_not_written_over(study: Path) -> None:
    params = study / "params.yaml"
    assert edited_by_hand(params, PRESETS) == []
    assert run(study, "preset", "demo")[0] == 0  # nothing was edited: a preset may follow a preset
    edited = params.read_text().replace("  epochs: 3 ", "  epochs: 7 ", 1)
    assert edited != params.read_text()
    params.write_text(edited)
    code, output = run(study, "preset", "tiny")
    assert code == 2
    assert "pretrain.epochs: 7" in output
    assert "--force" in output
    assert params.read_text() == edited
    assert run(study, "preset", "tiny", "--force")[0] == 0
    assert edited_by_hand(params, PRESETS) == []
