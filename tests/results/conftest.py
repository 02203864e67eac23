from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_predictions import ABOUT, SHIFT, make_predictions

from physiopipe.params import METHODS
from physiopipe.results.predictions import write_predictions


@pytest.fixture
def write_all(tmp_path: Path) -> Callable[..., Path]:
    """Write every method's predictions below tmp_path and return their folder."""

    def write(seeds: tuple[int, ...] = (0, 1), subjects: int = 12, clips: int = 18, **changes: object) -> Path:
        folder = tmp_path / "results" / "predictions"
        for method in METHODS:
            about = {"cohort": "dreamer", "simulated": True, "licence": "BSD-3-Clause", **ABOUT[method], **changes}
            frame = make_predictions(method, seeds, subjects, clips, SHIFT[method])
            write_predictions(folder / f"{method}.parquet", frame, about)
        return folder

    return write
