"""Reading what an earlier step wrote."""

from pathlib import Path

import pandas as pd

from physiopipe.errors import PhysiopipeError


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file that an earlier step wrote; a missing one is a plain error."""
    if not path.exists():
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (`dvc repro` does).")
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
