from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_predictions import make_params, write_predictions_of_all, write_side_predictions
from made_up_study import write_training, write_windows

from physiopipe.results.evaluate import evaluate
from physiopipe.results.figures import make_figures
from physiopipe.results.report import write_report
from physiopipe.results.side_tables import write_side_tables


@pytest.fixture
def write_all(tmp_path: Path) -> Callable[..., Path]:
    """Write every method's predictions below tmp_path and return their folder."""

    def write(seeds: tuple[int, ...] = (0, 1), subjects: int = 12, clips: int = 18, **changes: object) -> Path:
        return write_predictions_of_all(tmp_path / "results" / "predictions", seeds, subjects, clips, **changes)

    return write


@pytest.fixture
def study(tmp_path: Path, write_all: Callable[..., Path]) -> tuple[Path, Path]:
    """A results folder with predictions and curves, and a windows root, below tmp_path."""
    results = write_all().parent
    write_side_predictions(results)
    write_training(results)
    write_windows(tmp_path / "data" / "windows")
    return results, tmp_path / "data" / "windows"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with tables, figures and the page, made once: tests leave it as it is, or work on copies."""
    root = tmp_path_factory.mktemp("drawn")
    write_predictions_of_all(root / "results" / "predictions")
    write_side_predictions(root / "results")
    write_training(root / "results")
    write_windows(root / "windows")
    evaluate(root / "results" / "predictions", make_params(), root / "results")
    write_side_tables(root / "results", make_params())
    make_figures(root / "results", root / "windows", make_params())
    write_report(root / "results", root / "windows", make_params(), root / "results" / "report.html")
    return root


@pytest.fixture(scope="session")
def report(drawn: Path) -> Path:
    """The page of the study that is made once."""
    return drawn / "results" / "report.html"
