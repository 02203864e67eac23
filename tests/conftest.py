"""Fixtures of several folders. Where the real recordings are named, a test that skips for want of them is a failure."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from physiopipe.clips.clip_data import ClipData

# Small matrices, and cores that others may use too: threads would wait for one another. What is said of threads in
# parameters still holds.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

_skipped: list[str] = []
gc.disable()  # until all tests are collected: a tenth of that time would go into finding that imports leave no garbage


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it again, test by test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 10)  # fits make and drop thousands of small objects each
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """Do not wait for the disk: only a power cut could tell, and a fit waits forty times. What is waited for, and when,
    `test_files_on_disk.py` looks at; processes of their own do wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "PHYSIOPIPE_SAMPLE_DIR" in str(report.longrepr):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("PHYSIOPIPE_SAMPLE_DIR") and _skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("PHYSIOPIPE_SAMPLE_DIR") and _skipped:
        terminalreporter.section("skipped although PHYSIOPIPE_SAMPLE_DIR is set")
        terminalreporter.line("\n".join(_skipped))


@pytest.fixture
def make_clips() -> "Callable[..., ClipData]":
    from planted_clips import planted_clips

    return planted_clips


@pytest.fixture
def write_all(tmp_path: Path) -> Callable[..., Path]:
    """Write every method's predictions below tmp_path and return their folder."""
    from made_up_predictions import write_predictions_of_all

    def write(seeds: tuple[int, ...] = (0, 1), subjects: int = 12, clips: int = 18, **changes: object) -> Path:
        return write_predictions_of_all(tmp_path / "results" / "predictions", seeds, subjects, clips, **changes)

    return write


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of a run's processes to need it makes, while the others wait for it."""
    from physiopipe.files import hold_lock

    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / f"once_{name}"
    with hold_lock(root / f"once_{name}.lock"):
        if not folder.exists():
            temporary = factory.mktemp(name)
            make(temporary)
            temporary.rename(folder)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study before its tables, made once: results/ and data/windows/. Tests work on copies."""
    from made_up_predictions import write_predictions_of_all, write_side_predictions
    from made_up_study import write_training, write_windows

    def make(root: Path) -> None:
        write_predictions_of_all(root / "results" / "predictions")
        write_side_predictions(root / "results")
        write_training(root / "results")
        write_windows(root / "data" / "windows")

    return _once(tmp_path_factory, "made", make)


@pytest.fixture(scope="session")
def with_tables(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of that study with its tables, made once: tests leave it as it is."""
    from made_up_predictions import make_study

    from physiopipe.results.evaluate import evaluate

    def make(root: Path) -> None:
        shutil.copytree(made / "results", root / "results")
        evaluate(root / "results", make_study())

    return _once(tmp_path_factory, "with_tables", make) / "results"


@pytest.fixture(scope="session")
def drawn(made: Path, with_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That study with tables, figures and the page, made once: tests leave it as it is, or work on copies."""
    from made_up_study import draw, write_page

    def make(root: Path) -> None:
        shutil.copytree(with_tables, root / "results")
        shutil.copytree(made / "data" / "windows", root / "windows")
        draw(root / "results", root / "windows")
        write_page(root / "results", root / "windows")

    return _once(tmp_path_factory, "drawn", make)


@pytest.fixture
def made_study(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A results folder with predictions and curves, and a windows root, below tmp_path."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results", tmp_path / "data" / "windows"


@pytest.fixture(scope="session")
def report(drawn: Path) -> Path:
    """The page of the study that is made once."""
    return drawn / "results" / "report.html"
