"""From stored windows to the clips that methods are fitted on: the last seconds, both modalities aligned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.params import PATCH_SAMPLES
from physiopipe.windows.store import WindowStore

RATE_HZ = 200  # at this rate a patch lasts one second, as in CBraMod's training
START_TOLERANCE_S = 0.02  # EEG and ECG of a clip are cut at their own rates: starts differ by less than a sample or two


@dataclass(frozen=True)
class ClipChoice:
    """Which stored windows make up which clips, known from the index alone.

    Attributes:
        clips: one row a clip: subject, clip, tasks (0 or 1).
        pairs: one row a window: clip_of, start_s, eeg and ecg (rows of the index), ordered by clip, then time.
        left_out: subject, clip and reason of every clip that cannot be used.
        tasks: names of the tasks, in order.
    """

    clips: pd.DataFrame
    pairs: pd.DataFrame
    left_out: tuple[tuple[str, int, str], ...]
    tasks: tuple[str, ...]


def load_clips(windows_folder: Path, last_s: float, high_from: Mapping[str, float]) -> ClipData:
    """All usable clips of the cohort in `windows_folder`; what is left out is told by `choose_clips`."""
    store = WindowStore(windows_folder)
    return gather_clips(store, choose_clips(store, last_s, high_from))


def choose_clips(store: WindowStore, last_s: float, high_from: Mapping[str, float]) -> ClipChoice:
    """Pair the EEG and ECG windows of each clip's last `last_s` seconds that start at the same instant.

    Args:
        high_from: tasks in order, columns of the index, and the least value of each that is high.

    Raises:
        PhysiopipeError: no clip has a window in both modalities.
    """
    eeg = _windows_of(store, "eeg", last_s, high_from)
    ecg = _windows_of(store, "ecg", last_s, high_from)
    clips: list[dict[str, str | int]] = []
    pairs: list[_Paired] = []
    left_out: list[tuple[str, int, str]] = []
    for subject, clip in sorted({*eeg, *ecg}):
        found = _pair(eeg.get((subject, clip)), ecg.get((subject, clip)), last_s)
        if isinstance(found, str):
            left_out.append((subject, clip, found))
            continue
        pairs.append(found)
        values = eeg[subject, clip].values
        high = {task: int(value >= limit) for (task, limit), value in zip(high_from.items(), values, strict=True)}
        clips.append({"subject": subject, "clip": clip, **high})
    if not clips:
        detail = "; ".join(f"{s} clip {c}: {why}" for s, c, why in left_out[:3]) or "the index names no clip"
        raise PhysiopipeError(
            f"{store.folder}: no clip has windows of EEG and ECG at {RATE_HZ} Hz that start together ({detail}). "
            "Prepare both modalities of the cohort with the same shard parameters."
        )
    columns = {name: np.concatenate([getattr(paired, name) for paired in pairs]) for name in _Paired._fields}
    columns["clip_of"] = np.repeat(np.arange(len(pairs)), [len(paired.start_s) for paired in pairs])
    return ClipChoice(pd.DataFrame(clips), pd.DataFrame(columns), tuple(left_out), tuple(high_from))


def gather_clips(store: WindowStore, choice: ClipChoice) -> ClipData:
    """Read the chosen windows: int16 times their scale, float32. ECG that shows no heartbeat counts as absent."""
    eeg, eeg_valid = _dequantised(store, choice.pairs["eeg"].to_numpy())
    ecg, ecg_valid = _dequantised(store, choice.pairs["ecg"].to_numpy())
    with_beats = ~without_beats(store, choice)
    ecg[~with_beats] = 0  # as every absent channel is stored
    return ClipData(
        subjects=choice.clips["subject"].to_numpy().astype(np.str_),
        clips=choice.clips["clip"].to_numpy(np.int64),
        labels=choice.clips[list(choice.tasks)].to_numpy(np.int8),
        eeg=eeg,
        ecg=ecg,
        eeg_present=_present(store, choice.pairs["eeg"].to_numpy(), eeg.shape[1]),
        ecg_present=_present(store, choice.pairs["ecg"].to_numpy(), ecg.shape[1]) & with_beats[:, None],
        valid_patches=np.minimum(eeg_valid, ecg_valid).astype(np.int64),
        clip_of=choice.pairs["clip_of"].to_numpy(np.int64),
        tasks=choice.tasks,
        eeg_channels=tuple(store.attributes("eeg", RATE_HZ)["channels"]),
        ecg_channels=tuple(store.attributes("ecg", RATE_HZ)["channels"]),
    )


def without_beats(store: WindowStore, choice: ClipChoice) -> npt.NDArray[np.bool_]:
    """The chosen windows whose ECG shows no heartbeat, (w,)."""
    flagged: npt.NDArray[np.bool_] = store.index["no_beats"].to_numpy(np.bool_)[choice.pairs["ecg"].to_numpy()]
    return flagged


def clips_without_beats(store: WindowStore, choice: ClipChoice) -> list[tuple[str, int, int, int]]:
    """Clips with windows whose ECG shows no heartbeat: subject, clip, how many windows, of how many."""
    counts = (
        choice.pairs.assign(flagged=without_beats(store, choice)).groupby("clip_of")["flagged"].agg(["sum", "size"])
    )
    return [
        (str(choice.clips["subject"][clip]), int(choice.clips["clip"][clip]), int(flagged), int(windows))
        for clip, flagged, windows in counts[counts["sum"] > 0].itertuples(name=None)
    ]


class _ClipWindows(NamedTuple):
    """Windows of one modality in the last seconds of a clip, and the values of the clip's tasks."""

    start_s: F64
    rows: npt.NDArray[np.int64]  # of the index
    values: F64


class _Paired(NamedTuple):
    """Windows of a clip that start together, by time: when they start, and their rows of the index."""

    start_s: F64
    eeg: npt.NDArray[np.int64]
    ecg: npt.NDArray[np.int64]


def _windows_of(
    store: WindowStore, modality: str, last_s: float, tasks: Iterable[str]
) -> dict[tuple[str, int], _ClipWindows]:
    """Windows of a modality within the last seconds of their clip, by subject and clip."""
    of_modality, rates = (store.index[name].to_numpy() for name in ("modality", "rate_hz"))
    rows = np.flatnonzero((of_modality == modality) & (rates == RATE_HZ))
    if not len(rows):
        found = sorted({f"{m} at {r} Hz" for m, r in zip(of_modality, rates, strict=True)})
        raise PhysiopipeError(
            f"{store.folder}: no {modality} windows at {RATE_HZ} Hz, found {', '.join(found) or 'nothing'}. "
            f"Put {RATE_HZ} into resample.{store.manifest['cohort']}.{modality}.rates_hz and prepare the cohort again."
        )
    starts = store.index["start_s"].to_numpy(np.float64)
    values = store.index[list(tasks)].to_numpy(np.float64)
    window_s = _patches(store, rows) * PATCH_SAMPLES / RATE_HZ
    of_clip = store.index.iloc[rows].groupby(["subject", "clip"], observed=True).indices
    clips = {}
    for key, places in of_clip.items():
        subject, clip = cast("tuple[str, int]", key)
        mine = rows[places]
        chosen = mine[starts[mine] + START_TOLERANCE_S >= starts[mine].max() + window_s - last_s]
        if len(chosen):
            clips[str(subject), int(clip)] = _ClipWindows(starts[chosen], chosen, values[chosen[0]])
    return clips


def _pair(eeg: _ClipWindows | None, ecg: _ClipWindows | None, last_s: float) -> _Paired | str:
    """Windows of one clip that start together, or why it cannot be used."""
    if eeg is None or ecg is None:
        return f"no {'EEG' if eeg is None else 'ECG'} window in the last {last_s:g} s"
    if not np.isfinite(eeg.values).all():
        return "a rating is missing"
    if not np.array_equal(eeg.values, ecg.values):
        return "EEG and ECG carry different ratings"
    apart_s = np.abs(np.subtract.outer(eeg.start_s, ecg.start_s))
    of_eeg, of_ecg = np.nonzero(apart_s <= START_TOLERANCE_S)
    if not len(of_eeg):
        return "no EEG window starts together with an ECG window"
    order = np.argsort(eeg.start_s[of_eeg], kind="stable")
    of_eeg, of_ecg = of_eeg[order], of_ecg[order]
    return _Paired(eeg.start_s[of_eeg], eeg.rows[of_eeg], ecg.rows[of_ecg])


def _dequantised(store: WindowStore, rows: npt.NDArray[np.int64]) -> tuple[F32, npt.NDArray[np.integer]]:
    """Windows float32 (w, C, P, 200) in the stored unit, and their valid patches."""
    counts, scale, valid = store.gather(rows)
    windows = counts.astype(np.float32)
    windows *= scale.astype(np.float32)[:, None, None, None]
    return windows, valid


def _present(store: WindowStore, rows: npt.NDArray[np.int64], channels: int) -> npt.NDArray[np.bool_]:
    """bool (w, C): the channels that are there and not flat."""
    bits = store.index["channel_mask"].to_numpy(np.int64)[rows]
    present: npt.NDArray[np.bool_] = (bits[:, None] >> np.arange(channels)) & 1 == 1
    return present


def _patches(store: WindowStore, rows: npt.NDArray[np.int64]) -> int:
    """Patches of the stored windows of one modality and rate."""
    counts, _, _ = store.gather(rows[:1])
    return int(counts.shape[2])
