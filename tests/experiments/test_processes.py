"""Folds made by several processes: the same bytes, one plain error, and nothing half-done when they are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_cohort import store_cohort, study_of
from small_methods import parameters

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments import cross_validation
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.robustness import run_robustness
from physiopipe.methods import ours
from physiopipe.methods.lin_style import LinStyle
from physiopipe.params import Params

TESTS = Path(__file__).parents[1]


def several(folder: Path, epochs: int = 2, **settings: Any) -> Params:
    """Ten runs, two conditions."""
    params = parameters(folder, epochs=epochs, **settings)
    evaluate = params.evaluate.model_copy(update={"protocol": "crossval", "seeds": (0, 1)})
    robustness = params.robustness.model_copy(
        update={"lost_modalities": (), "dropped_eeg_channels": (7,), "noise_snr_db": ()}
    )
    run = params.run.model_copy(update={"threads": 2})
    return params.model_copy(update={"evaluate": evaluate, "robustness": robustness, "run": run})


@pytest.fixture
def cohort(make_clips, tmp_path: Path) -> Path:
    return store_cohort(tmp_path, make_clips(subjects=6, clips=4, windows=2, patches=10))


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every fit be worth a process; returns how many processes each run took."""
    taken: list[int] = []
    plain = cross_validation.run_in_processes

    def noted(name, begin, shares, workers, gpus):
        taken.append(workers)
        return plain(name, begin, shares, workers, gpus)

    monkeypatch.setattr(cross_validation, "run_in_processes", noted)
    monkeypatch.setattr(ours, "FITS_A_PROCESS", 1)
    return taken


def files_of(folder: Path) -> dict[str, bytes]:
    """All but seconds, which are never the same twice, and what only names them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".json", ".json.sha256", ".seconds"))
    }


def both(folder: Path, cohort: Path) -> dict[str, bytes]:
    """A method's predictions and curves, its robustness, and everything kept on the way."""
    params = several(folder)
    run_method(study_of("gated", params, cohort), folder / "gated.parquet", folder / "gated.csv")
    run_robustness(study_of("gated", params, cohort), folder / "robust.parquet")
    return files_of(folder)


@pytest.mark.slow
def test_two_processes_make_what_one_makes_byte_for_byte(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: list[int]
) -> None:
    shared = both(tmp_path / "two", cohort)
    assert parallel == [2, 2]
    monkeypatch.setattr(ours, "FITS_A_PROCESS", 8)
    alone = both(tmp_path / "one", cohort)
    assert parallel == [2, 2]
    assert sorted(shared) == sorted(alone)
    assert [name for name in alone if alone[name] != shared[name]] == []
    assert sum(name.startswith("state/finetune/") for name in alone) == 2 * (10 + 10 + 10 + 10)
    assert sum(name.startswith("state/embeddings/") for name in alone) == 2 * (
        2 * 6 + 6
    )  # clean, and EEG that lost channels


@pytest.mark.slow
@pytest.mark.usefixtures("parallel")
def test_a_failing_fold_ends_the_run_with_its_own_words(cohort: Path, tmp_path: Path) -> None:
    # a first rate that far from any sense is refused; a schedule that rises to it is not
    params = several(tmp_path, epochs=3, learning_rate=1.0, step_epochs=1, step_gamma=1e38)
    with pytest.raises(
        PhysiopipeError, match=r"^The fine-tuning loss is nan in epoch \d: lower the method.s learning rate"
    ):
        run_method(study_of("ours", params, cohort), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    assert not list((tmp_path / "state" / "finetune").glob("*.parquet"))


def _run(cohort: Path, folder: Path, name: str = "ours", threads: int = 2) -> None:
    """Fits that last longer than it takes to be killed."""
    ours.FITS_A_PROCESS = 1
    params = several(folder, epochs=40 if name == "ours" else 5)
    params = params.model_copy(update={"run": params.run.model_copy(update={"threads": threads})})
    run_method(study_of(name, params, cohort), folder / "out.parquet")


def _start(cohort: Path, folder: Path, *arguments: object) -> "subprocess.Popen[bytes]":
    """`_run` in a process of its own, until two folds are kept."""
    script = folder.parent / "run.py"
    script.write_text(
        f"import signal, sys\nfrom pathlib import Path\nfor name in ('experiments', 'methods', ''):\n"
        f"    sys.path.insert(0, str(Path({str(TESTS)!r}) / name))\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests in a shell's background ignore it
        f"if __name__ == '__main__':\n    import test_processes\n"
        f"    test_processes._run(Path({str(cohort)!r}), Path({str(folder)!r}), *{arguments!r})\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300  # on busy cores
    while len(list((folder / "state" / "finetune").glob("*.parquet"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.slow
@pytest.mark.usefixtures("parallel")  # puts the number of fits a process back
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_whole_folds_and_no_process_behind(cohort: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "killed"
    process = _start(cohort, folder)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends it: to all processes at once
    else:
        process.kill()
    process.communicate(timeout=60)  # its workers hold the pipe as well: they are gone
    kept = files_of(folder / "state" / "finetune")
    assert 2 <= sum(name.endswith(".parquet") for name in kept) < 10
    assert not (folder / "out.parquet").exists()
    _run(cohort, folder)
    after = files_of(folder / "state" / "finetune")
    assert all(after[name] == content for name, content in kept.items() if not name.startswith("."))
    _run(cohort, tmp_path / "whole")
    assert (folder / "out.parquet").read_bytes() == (tmp_path / "whole" / "out.parquet").read_bytes()


@pytest.mark.slow
def test_a_killed_rival_loses_the_fold_under_way_and_no_other(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, fits = tmp_path / "killed", []
    process = _start(cohort, folder, "lin_style", 1)
    process.kill()
    process.communicate(timeout=60)
    told = capfd.readouterr().out.count(" done, ")
    kept = {name: content for name, content in files_of(folder / "state" / "finetune").items() if name[0] != "."}
    whole = [name for name in kept if name.endswith(".parquet.sha256")]
    assert max(1, told) <= len(whole) < 10  # it may have kept a fold that it had no time to tell
    fit = LinStyle.fit
    monkeypatch.setattr(LinStyle, "fit", lambda self, *sides: fits.append(sides[-1]) or fit(self, *sides))
    _run(cohort, folder, "lin_style", 1)
    assert len(fits) <= 10 - len(whole)
    after = files_of(folder / "state" / "finetune")
    assert all(after[name] == content for name, content in kept.items())
    fits.clear()
    _run(cohort, tmp_path / "undisturbed", "lin_style", 1)
    assert len(fits) == 10
    assert (folder / "out.parquet").read_bytes() == (tmp_path / "undisturbed" / "out.parquet").read_bytes()
