from pathlib import Path

import pandas as pd
import pytest

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import COLUMNS, read_predictions, write_predictions


@pytest.fixture
def frame() -> pd.DataFrame:
    rows = [
        ("ours", "paper", 0, 0, subject, clip, label, (clip + len(subject)) % 2, 0.1 * clip, 0.5)
        for subject in ("s01", "s02")
        for clip in (1, 2, 3)
        for label in ("valence", "arousal", "dominance")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_what_is_written_is_read_back_in_order(tmp_path: Path, frame: pd.DataFrame) -> None:
    about = {"cohort": "dreamer", "simulated": True, "provenance": "ünicode"}
    write_predictions(tmp_path / "a.parquet", frame.sample(frac=1, random_state=1), about)
    found, said = read_predictions(tmp_path / "a.parquet")
    assert said == about
    assert tuple(found.columns) == COLUMNS
    key = ["label", "subject", "clip"]
    pd.testing.assert_frame_equal(found, frame.sort_values(key, ignore_index=True), check_dtype=False)


def test_equal_contents_are_equal_bytes(tmp_path: Path, frame: pd.DataFrame) -> None:
    write_predictions(tmp_path / "a.parquet", frame, {"b": 1, "a": 2})
    write_predictions(tmp_path / "b.parquet", frame[::-1].reset_index(drop=True), {"a": 2, "b": 1})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: f.drop(columns="truth"), "lack the columns truth"),
        (lambda f: f.assign(probability=1.5), "no probability"),
        (lambda f: f.assign(probability=float("nan")), "no probability"),
        (lambda f: f.assign(truth=-1), "no probability or have no truth"),
        (lambda f: pd.concat([f, f[:1]]), "predicted twice"),
    ],
)
def test_impossible_predictions_are_refused(tmp_path: Path, frame: pd.DataFrame, spoil, said: str) -> None:
    with pytest.raises(PhysiopipeError, match=said):
        write_predictions(tmp_path / "a.parquet", spoil(frame), {})
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_told_apart(tmp_path: Path, frame: pd.DataFrame) -> None:
    with pytest.raises(PhysiopipeError, match="is missing"):
        read_predictions(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(PhysiopipeError, match="is no predictions file"):
        read_predictions(tmp_path / "text.parquet")
    frame.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(PhysiopipeError, match="is no predictions file"):
        read_predictions(tmp_path / "other.parquet")
