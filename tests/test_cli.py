"""What bad input gets: a plain message and exit code 2, never a traceback."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml
from verbs import run

from physiopipe.params import load_params
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params

PRESETS = Path(__file__).parents[1] / "presets"


def write_params(folder: Path, *assignments: str) -> None:
    (folder / "params.yaml").write_text(dump_params(preset_with(PRESETS, "tiny", list(assignments))))


def refused(folder: Path, *arguments: str) -> str:
    code, output = run(folder, *arguments)
    assert code == 2, output
    assert output.startswith("error: ")
    return output


def test_an_unknown_parameter_names_the_nearest(tmp_path: Path) -> None:
    content = yaml.safe_load((PRESETS / "tiny.yaml").read_text())
    content["pretrain"]["learning_rat"] = 0.1
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    assert "did you mean `pretrain.learning_rate`" in refused(tmp_path, "inputs")


def test_no_parameter_file_says_how_to_get_one(tmp_path: Path) -> None:
    assert "physiopipe preset demo" in refused(tmp_path, "inputs")


def test_a_missing_dreamer_says_what_it_is_and_where_to_put_it(tmp_path: Path) -> None:
    write_params(tmp_path, "data.dreamer.origin=file", "data.dreamer.path=here/DREAMER.mat")
    for verb in (["inputs"], ["discover", "--cohort", "dreamer"]):
        output = refused(tmp_path, *verb)
        assert "here/DREAMER.mat is missing" in output
        assert "546113" in output
        assert "request" in output
        assert "data.dreamer.path" in output


@pytest.mark.parametrize("kind", ["text", "other mat"])
def test_another_file_in_its_place_says_what_was_looked_for_and_found(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "DREAMER.mat"
    if kind == "text":
        path.write_text("not a MATLAB file, and long enough to be read as one" * 10)
    else:
        scipy.io.savemat(path, {"something_else": np.zeros((3, 3))})
    write_params(tmp_path, "data.dreamer.origin=file", "data.dreamer.path=DREAMER.mat")
    assert run(tmp_path, "discover", "--cohort", "dreamer")[0] == 0
    output = refused(tmp_path, "unpack", "--cohort", "dreamer", "--output", "unpacked.json")
    assert "DREAMER.mat" in output
    assert "something_else" in output if kind == "other mat" else "MATLAB" in output
    assert sorted(p.name for p in tmp_path.glob("*") if p.is_file()) == [
        "DREAMER.mat",
        "params.yaml",
    ]  # nothing half-written


def test_a_host_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    write_params(
        tmp_path,
        "data.challenge.origin=published",
        "data.challenge.base_url=http://127.0.0.1:9/challenge-2021/1.0.3",
        "run.retries=0",
    )
    output = refused(tmp_path, "discover", "--cohort", "challenge")
    assert "http://127.0.0.1:9/challenge-2021/1.0.3" in output
    assert not (tmp_path / "data/plan/challenge/batches.csv").exists()


def test_missing_weights_are_told_before_anything_runs(tmp_path: Path) -> None:
    write_params(tmp_path, "encoders.eeg_weights.origin=file", "encoders.eeg_weights.path=none.pth")
    assert "none.pth is missing" in refused(tmp_path, "inputs")
    (tmp_path / "none.pth").write_bytes(b"other weights")
    assert "none.pth is not the file that encoders.eeg_weights.sha256 names" in refused(tmp_path, "inputs")


@pytest.mark.slow
def test_windows_that_are_not_there_say_what_to_run(tmp_path: Path) -> None:
    write_params(tmp_path)
    assert "dvc repro" in refused(tmp_path, "pretrain")
    assert "dvc repro" in refused(tmp_path, "finetune", "--cohort", "dreamer", "--method", "chance")
    assert "always_high" in refused(tmp_path, "finetune", "--cohort", "dreamer", "--method", "always_hig")
    refused(tmp_path, "evaluate", "--cohort", "dreamer")
    assert "models/ecg_encoder.safetensors is missing: pretrain first" in refused(tmp_path, "export")
    assert not (tmp_path / "models").exists()


def test_preset_writes_what_load_params_reads(tmp_path: Path) -> None:
    (tmp_path / "presets").symlink_to(PRESETS)
    code, output = run(tmp_path, "preset", "demo", "--set", "pretrain.epochs=7")
    assert code == 0, output
    assert load_params(tmp_path / "params.yaml").pretrain.epochs == 7


def test_help_of_a_verb_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['physiopipe', 'filter', '--help']\n"
        "from physiopipe.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'torch', 'zarr', 'mne', 'sklearn', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
