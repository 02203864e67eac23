from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_predictions import write_predictions_of_all, write_side_predictions
from made_up_study import write_training, write_windows


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
