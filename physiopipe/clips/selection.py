"""From stored windows to the clips that methods are fitted on: the last seconds, both modalities aligned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.clip_data import F32, MODALITIES, NUMBERS_OF_RECORDING, ClipData, Modality
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
        pairs: one row a window: clip_of, start_s, eeg and ecg (rows of the index) as far as the cohort has them,
            ordered by clip, then time.
        left_out: subject, clip and reason of every clip that cannot be used.
        tasks: names of the tasks, in order.
    """

    clips: pd.DataFrame
    pairs: pd.DataFrame
    left_out: tuple[tuple[str, int, str], ...]
    tasks: tuple[str, ...]


def load_clips(windows_folder: Path, last_s: float | None, high_from: Mapping[str, float]) -> ClipData:
    """All usable clips of the cohort in `windows_folder`; what is left out is told by `choose_clips`."""
    store = WindowStore(windows_folder)
    return gather_clips(store, choose_clips(store, last_s, high_from))


def choose_clips(
    store: WindowStore,
    last_s: float | None,
    high_from: Mapping[str, float],
    modalities: Sequence[Modality] = MODALITIES,
    each_window: bool = False,
) -> ClipChoice:
    """Pair the EEG and ECG windows of each clip's last `last_s` seconds that start at the same instant.

    Args:
        last_s: None: all of a clip.
        high_from: tasks in order, columns of the index, and the least value of each that is high.
        modalities: those of the cohort; of one alone, every window counts.
        each_window: whether each window becomes a clip by itself.

    Raises:
        PhysiopipeError: no clip has a window in both modalities.
    """
    rows = {each: _windows_of(store, each, last_s, high_from) for each in modalities}
    clips: list[dict[str, str | int]] = []
    pairs: list[pd.DataFrame] = []
    left_out: list[tuple[str, int, str]] = []
    names = pd.concat(list(rows.values()))[["subject", "clip"]].drop_duplicates().sort_values(["subject", "clip"])
    by_clip = {each: dict(list(found.groupby(["subject", "clip"]))) for each, found in rows.items()}
    for subject, clip in names.itertuples(index=False):
        mine = {each: found.get((subject, clip)) for each, found in by_clip.items()}
        paired, values, reason = _paired(mine, "it" if last_s is None else f"the last {last_s:g} s", [*high_from])
        if reason:
            left_out.append((str(subject), int(clip), reason))
            continue
        high = {task: int(value >= limit) for (task, limit), value in zip(high_from.items(), values, strict=True)}
        if each_window:
            pairs.append(paired.assign(clip_of=len(clips) + np.arange(len(paired))))
            numbers = _numbers_of_windows(store, int(clip), len(paired))
        else:
            pairs.append(paired.assign(clip_of=len(clips)))
            numbers = [int(clip)]
        clips += [{"subject": str(subject), "clip": number, **high} for number in numbers]
    if not clips:
        detail = "; ".join(f"{s} clip {c}: {why}" for s, c, why in left_out[:3]) or "the index names no clip"
        raise PhysiopipeError(
            f"{store.folder}: no clip has windows of {' and '.join(each.upper() for each in modalities)} at {RATE_HZ} "
            f"Hz that start together ({detail}). "
            "Prepare both modalities of the cohort with the same shard parameters."
        )
    return ClipChoice(pd.DataFrame(clips), pd.concat(pairs, ignore_index=True), tuple(left_out), tuple(high_from))


def gather_clips(store: WindowStore, choice: ClipChoice) -> ClipData:
    """Read the chosen windows: int16 times their scale, float32. ECG that shows no heartbeat counts as absent."""
    read = {each: _read(store, choice, each) for each in MODALITIES if each in choice.pairs}
    if "ecg" in read:
        no_beats = without_beats(store, choice)
        read["ecg"].windows[no_beats] = 0  # as every absent channel is stored
        read["ecg"].present[no_beats] = False
    some = next(iter(read.values()))
    windows, _, patches, samples = some.windows.shape
    nothing = _Read(
        np.zeros((windows, 0, patches, samples), np.float32), np.zeros((windows, 0), np.bool_), some.valid_patches, ()
    )
    eeg, ecg = (read.get(each, nothing) for each in MODALITIES)
    return ClipData(
        subjects=choice.clips["subject"].to_numpy().astype(np.str_),
        clips=choice.clips["clip"].to_numpy(np.int64),
        labels=choice.clips[list(choice.tasks)].to_numpy(np.int8),
        eeg=eeg.windows,
        ecg=ecg.windows,
        eeg_present=eeg.present,
        ecg_present=ecg.present,
        valid_patches=np.minimum(eeg.valid_patches, ecg.valid_patches).astype(np.int64),
        clip_of=choice.pairs["clip_of"].to_numpy(np.int64),
        tasks=choice.tasks,
        eeg_channels=eeg.channels,
        ecg_channels=ecg.channels,
    )


def without_beats(store: WindowStore, choice: ClipChoice) -> npt.NDArray[np.bool_]:
    """The chosen windows whose ECG shows no heartbeat, (w,); none where the cohort has no ECG."""
    if "ecg" not in choice.pairs:
        return np.zeros(len(choice.pairs), np.bool_)
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


class _Read(NamedTuple):
    """Windows of one modality: float32 (w, C, P, 200), bool (w, C), int (w,), and the channels' names."""

    windows: F32
    present: npt.NDArray[np.bool_]
    valid_patches: npt.NDArray[np.integer]
    channels: tuple[str, ...]


def _read(store: WindowStore, choice: ClipChoice, modality: Modality) -> _Read:
    rows = choice.pairs[modality].to_numpy()
    windows, valid = _dequantised(store, rows)
    channels = tuple(store.attributes(modality, RATE_HZ)["channels"])
    return _Read(windows, _present(store, rows, windows.shape[1]), valid, channels)


def _numbers_of_windows(store: WindowStore, recording: int, count: int) -> list[int]:
    """Numbers of a recording's windows as clips, in order of time."""
    if count >= NUMBERS_OF_RECORDING:
        raise PhysiopipeError(
            f"{store.folder}: recording {recording} has {count} windows, expected fewer than {NUMBERS_OF_RECORDING} "
            "where each is scored by itself: set shard's max_windows_per_record."
        )
    return [NUMBERS_OF_RECORDING * recording + number for number in range(1, count + 1)]


def _windows_of(store: WindowStore, modality: str, last_s: float | None, tasks: Iterable[str]) -> pd.DataFrame:
    """Index rows of a modality within the last seconds of their clip, with `window` naming the row of the index."""
    columns = ["modality", "rate_hz", "subject", "clip", "start_s", *tasks]
    index = store.index[columns].astype({"modality": str, "subject": str}).reset_index(drop=True)
    rows = index[(index["modality"] == modality) & (index["rate_hz"] == RATE_HZ)]
    if rows.empty:
        found = sorted({f"{m} at {r} Hz" for m, r in zip(index["modality"], index["rate_hz"], strict=True)})
        raise PhysiopipeError(
            f"{store.folder}: no {modality} windows at {RATE_HZ} Hz, found {', '.join(found) or 'nothing'}. "
            f"Put {RATE_HZ} into resample.{store.manifest['cohort']}.{modality}.rates_hz and prepare the cohort again."
        )
    rows = rows.assign(window=rows.index)
    if last_s is None:
        return rows
    ends = rows.groupby(["subject", "clip"])["start_s"].transform("max")
    window_s = _patches(store, rows) * PATCH_SAMPLES / RATE_HZ
    return rows[rows["start_s"] + START_TOLERANCE_S >= ends + window_s - last_s]


def _paired(
    mine: Mapping[Modality, pd.DataFrame | None], used: str, tasks: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.float64], str]:
    """Windows of one clip that start together, its tasks' values, and why it cannot be used (empty where it can)."""
    nothing, unknown = pd.DataFrame(), np.full(len(tasks), np.nan)
    for modality, rows in mine.items():
        if rows is None:
            return nothing, unknown, f"no {modality.upper()} window in {used}"
    there = {modality: rows for modality, rows in mine.items() if rows is not None}
    if len(there) == 2:
        return _pair(there["eeg"], there["ecg"], tasks)
    [(modality, rows)] = there.items()
    values = rows[tasks].to_numpy(np.float64)[0]
    if not np.isfinite(values).all():
        return nothing, values, "a rating is missing"
    return rows[["start_s", "window"]].rename(columns={"window": modality}).sort_values("start_s"), values, ""


def _pair(eeg: pd.DataFrame, ecg: pd.DataFrame, tasks: list[str]) -> tuple[pd.DataFrame, npt.NDArray[np.float64], str]:
    """As `_paired`, of both modalities."""
    nothing = pd.DataFrame()
    values = eeg[tasks].to_numpy(np.float64)[0]
    if not np.isfinite(values).all():
        return nothing, values, "a rating is missing"
    if not np.array_equal(values, ecg[tasks].to_numpy(np.float64)[0]):
        return nothing, values, "EEG and ECG carry different ratings"
    apart_s = np.abs(np.subtract.outer(eeg["start_s"].to_numpy(np.float64), ecg["start_s"].to_numpy(np.float64)))
    of_eeg, of_ecg = np.nonzero(apart_s <= START_TOLERANCE_S)
    if not len(of_eeg):
        return nothing, values, "no EEG window starts together with an ECG window"
    paired = eeg[["start_s", "window"]].rename(columns={"window": "eeg"}).iloc[of_eeg]
    return paired.assign(ecg=ecg["window"].to_numpy()[of_ecg]).sort_values("start_s"), values, ""


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


def _patches(store: WindowStore, rows: pd.DataFrame) -> int:
    """Patches of the stored windows of one modality and rate."""
    counts, _, _ = store.gather(rows["window"].to_numpy(np.int64)[:1])
    return int(counts.shape[2])
