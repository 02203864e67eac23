"""Features and embeddings set against the rest before each clip: what a clip changes, rather than what a person is.

No test clip is used: a test person's recordings of rest are, and those alone, so that a clip's values do not depend on
the person's other clips. Band powers are logarithms here, so that their difference is the log of a ratio.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.params.clips import BaselineUse

BASELINE_WORDS: dict[BaselineUse, str] = {  # what is said of a row
    "none": "The baselines before the clips are not used.",
    "subtract_features": "Less the mean of the baseline before the clip.",
    "zscore_by_person": "On the scale of the person's own baselines (mean and SD); no other clip is used.",
}
_CONSTANT = 1e-8  # an SD under this says nothing of a scale: the value is only centred
_FEWEST_WINDOWS = 2  # of a person, for an SD


def features_against_baseline(clips: ClipData, compute: Callable[[ClipData], F32]) -> F32:
    """`compute` of the clips' windows, (w, k) float32, set against the same of their baselines; NaN is not measured.

    A value without anything to be set against is NaN: subtract_features takes the clip's own baseline, or, where
    nothing was measured in it, all of the person's.
    """
    values = compute(clips)
    if clips.baseline is None:
        return values
    rest = compute(clips.baseline.windows)
    found = _against(clips, values, np.isfinite(values), rest, np.isfinite(rest))
    return found.astype(np.float32)


def embeddings_against_baseline(clips: ClipData, compute: Callable[[ClipData], F32]) -> F32:
    """As `features_against_baseline` for embeddings (w, ..., k), which are exactly 0 where there is no signal."""
    values = compute(clips)
    if clips.baseline is None:
        return values
    rest = compute(clips.baseline.windows)
    flat, flat_rest = (each.reshape(len(each), -1) for each in (values, rest))
    found = _against(clips, flat, flat != 0, flat_rest, flat_rest != 0)
    return np.nan_to_num(found, nan=0.0).astype(np.float32).reshape(values.shape)


def _against(
    clips: ClipData, values: F32, known: npt.NDArray[np.bool_], rest: F32, rest_known: npt.NDArray[np.bool_]
) -> F64:
    """Values (w, k) against those of rest (v, k); NaN where one of the two is not known."""
    assert clips.baseline is not None
    windows = clips.baseline.windows
    at_rest = np.where(rest_known, rest.astype(np.float64), np.nan)
    _, person = np.unique(clips.subjects, return_inverse=True)  # of each clip
    count, mean, deviation = _moments(at_rest, person[windows.clip_of], int(person.max(initial=-1)) + 1)
    own = np.where(known, values.astype(np.float64), np.nan)
    if clips.baseline.use == "subtract_features":
        of_clip = windows.clip_means(at_rest)
        of_clip = np.where(np.isfinite(of_clip), of_clip, mean[person])
        return own - of_clip[clips.clip_of]
    mean = np.where(count >= _FEWEST_WINDOWS, mean, np.nan)
    deviation = np.where(deviation > _CONSTANT, deviation, 1.0)
    of_window = person[clips.clip_of]
    return (own - mean[of_window]) / deviation[of_window]


def _moments(values: F64, group: npt.NDArray[np.integer], groups: int) -> tuple[F64, F64, F64]:
    """Count, mean and SD of the known values (v, k) of each group, (groups, k); NaN and 0 where there are none."""
    known = np.isfinite(values)
    count, total, squares = (np.zeros((groups, values.shape[1])) for _ in range(3))
    np.add.at(count, group, known)
    np.add.at(total, group, np.where(known, values, 0.0))
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    np.add.at(squares, group, np.where(known, np.square(values - mean[group]), 0.0))
    return count, mean, np.sqrt(squares / np.maximum(count, 1))
