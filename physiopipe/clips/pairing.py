"""Which EEG and ECG windows of a recording start together."""

import numpy as np
import numpy.typing as npt

START_TOLERANCE_S = 0.02  # EEG and ECG of a clip are cut at their own rates: starts differ by less than a sample or two


def starting_together(
    first_s: npt.NDArray[np.float64], second_s: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the pairs of starts, one of each, that are at most START_TOLERANCE_S apart.

    Memory and time grow with the windows, not with their square: a recording of two days has 17,000 windows of 10 s.

    Args:
        first_s, second_s: (n,) and (m,) starts in seconds, in any order.

    Returns:
        Rows of the first and of the second, (pairs,) each, ordered by the first's row, then the second's.
    """
    order = np.argsort(second_s, kind="stable")
    in_order = second_s[order]
    around_s = 2 * START_TOLERANCE_S  # wider than wanted: what counts is the difference itself, as rounded
    begin = np.searchsorted(in_order, first_s - around_s, side="left")
    count = np.searchsorted(in_order, first_s + around_s, side="right") - begin
    rows = np.repeat(np.arange(len(first_s), dtype=np.int64), count)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    others = order[places].astype(np.int64)
    near = np.abs(first_s[rows] - second_s[others]) <= START_TOLERANCE_S
    rows, others = rows[near], others[near]
    sorted_rows = np.lexsort((others, rows))
    return rows[sorted_rows], others[sorted_rows]
