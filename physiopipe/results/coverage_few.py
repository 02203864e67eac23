"""How far intervals over very few test subjects can be trusted, where each window is scored by itself, as measured.

The numbers are those of coverage_few.csv, which `benchmarks/coverage_few.py --write` writes; nothing else repeats them.
"""

from pathlib import Path

import pandas as pd

COVERAGE_FEW = Path(__file__).with_name("coverage_few.csv")
COLUMNS = (
    "subjects", "recording_sd", "interval", "cohorts", "coverage", "standard_error", "mean_width", "least_p",
    "p_below_10_percent",
)  # fmt: skip


def few_subjects_note(subjects: int) -> str:
    """A sentence or two on what 95 % intervals over so few test subjects cover when there is nothing to find."""
    frame = pd.read_csv(COVERAGE_FEW)
    nearest = min(frame["subjects"].unique(), key=lambda number: abs(number - subjects))
    mine = frame[frame["subjects"] == nearest].set_index(["interval", "recording_sd"]).sort_index()
    coverage = {
        kind: " and ".join(f"{100 * share:.0f} %" for share in mine.loc[kind, "coverage"])
        for kind in ("leave_one_out", "bootstrap")
    }
    first = mine.iloc[0]
    return (
        f"Intervals are over {subjects} test subjects. In {first['cohorts']:,.0f} simulations without any effect "
        f"({nearest} subjects, recordings that differ little and much) 95 % intervals of the pooled AUC held 50 in "
        f"{coverage['leave_one_out']}, a bootstrap's in {coverage['bootstrap']}; with {nearest} subjects of two "
        f"recordings no p is below {first['least_p']:.4g}. Measured by benchmarks/coverage_few.py."
    )
