"""Windows of chosen clips, read from the store."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.clip_data import F32, Modality
from physiopipe.windows.store import WindowStore

RATE_HZ = 200  # at this rate a patch lasts one second, as in CBraMod's training


class Windows(NamedTuple):
    """Windows of one modality: float32 (w, C, P, 200), bool (w, C), int (w,), the channels' names and the unit."""

    windows: F32
    present: npt.NDArray[np.bool_]
    valid_patches: npt.NDArray[np.integer]
    channels: tuple[str, ...]
    unit: str


def read_windows(store: WindowStore, pairs: pd.DataFrame, modality: Modality) -> Windows:
    """The windows of one modality: int16 times their scale. ECG that shows no heartbeat counts as absent."""
    rows = pairs[modality].to_numpy()
    counts, scale, valid = store.gather(rows)
    windows = counts.astype(np.float32)
    windows *= scale.astype(np.float32)[:, None, None, None]
    present = _present(store, rows, windows.shape[1])
    if modality == "ecg":
        no_beats = without_beats(store, pairs)
        windows[no_beats] = 0  # as every absent channel is stored
        present[no_beats] = False
    attributes = store.attributes(modality, RATE_HZ)
    return Windows(windows, present, valid, tuple(attributes["channels"]), str(attributes["unit"]))


def without_beats(store: WindowStore, pairs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """The windows whose ECG shows no heartbeat, (w,); none where the cohort has no ECG."""
    if "ecg" not in pairs:
        return np.zeros(len(pairs), np.bool_)
    flagged: npt.NDArray[np.bool_] = store.index["no_beats"].to_numpy(np.bool_)[pairs["ecg"].to_numpy()]
    return flagged


def _present(store: WindowStore, rows: npt.NDArray[np.int64], channels: int) -> npt.NDArray[np.bool_]:
    """bool (w, C): the channels that are there and not flat."""
    bits = store.index["channel_mask"].to_numpy(np.int64)[rows]
    present: npt.NDArray[np.bool_] = (bits[:, None] >> np.arange(channels)) & 1 == 1
    return present
