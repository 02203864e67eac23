"""From stored windows to the clips that methods are fitted on: the last seconds, both modalities aligned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.clip_data import F32, F64, MODALITIES, NUMBERS_OF_RECORDING, ClipData, Modality
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
    by_clip = {each: _windows_of(store, each, last_s, high_from) for each in modalities}
    clips: list[dict[str, str | int]] = []
    pairs: list[_Pairs] = []
    clip_of: list[npt.NDArray[np.int64]] = []
    left_out: list[tuple[str, int, str]] = []
    for subject, clip in sorted(set[tuple[str, int]]().union(*by_clip.values())):
        mine = {each: found.get((subject, clip)) for each, found in by_clip.items()}
        paired = _paired(mine, "it" if last_s is None else f"the last {last_s:g} s")
        if isinstance(paired, str):
            left_out.append((subject, clip, paired))
            continue
        values, count = by_clip[modalities[0]][subject, clip].values, len(paired["start_s"])
        high = {task: int(value >= limit) for (task, limit), value in zip(high_from.items(), values, strict=True)}
        pairs.append(paired)
        clip_of.append(len(clips) + (np.arange(count) if each_window else np.zeros(count, np.int64)))
        numbers = _numbers_of_windows(store, clip, count) if each_window else [clip]
        clips += [{"subject": subject, "clip": number, **high} for number in numbers]
    if not clips:
        detail = "; ".join(f"{s} clip {c}: {why}" for s, c, why in left_out[:3]) or "the index names no clip"
        raise PhysiopipeError(
            f"{store.folder}: no clip has windows of {' and '.join(each.upper() for each in modalities)} at {RATE_HZ} "
            f"Hz that start together ({detail}). "
            "Prepare both modalities of the cohort with the same shard parameters."
        )
    columns = {name: np.concatenate([paired[name] for paired in pairs]) for name in pairs[0]}
    columns["clip_of"] = np.concatenate(clip_of)
    return ClipChoice(pd.DataFrame(clips), pd.DataFrame(columns), tuple(left_out), tuple(high_from))


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


class _ClipWindows(NamedTuple):
    """Windows of one modality in the last seconds of a clip, and the values of the clip's tasks."""

    start_s: F64
    rows: npt.NDArray[np.int64]  # of the index
    values: F64


# Windows of a clip that start together, by time: `start_s`, and their rows of the index by modality
_Pairs = dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]


def _windows_of(
    store: WindowStore, modality: str, last_s: float | None, tasks: Iterable[str]
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
        if last_s is not None:
            mine = mine[starts[mine] + START_TOLERANCE_S >= starts[mine].max() + window_s - last_s]
        if len(mine):
            clips[str(subject), int(clip)] = _ClipWindows(starts[mine], mine, values[mine[0]])
    return clips


def _paired(mine: Mapping[Modality, _ClipWindows | None], used: str) -> _Pairs | str:
    """Windows of one clip that start together, or why it cannot be used."""
    there: dict[Modality, _ClipWindows] = {}
    for modality, windows in mine.items():
        if windows is None:
            return f"no {modality.upper()} window in {used}"
        there[modality] = windows
    first, *others = there.values()
    if not np.isfinite(first.values).all():
        return "a rating is missing"
    places = [np.arange(len(first.rows))]
    for other in others:
        if not np.array_equal(first.values, other.values):
            return "EEG and ECG carry different ratings"
        apart_s = np.abs(np.subtract.outer(first.start_s, other.start_s))
        places = [*np.nonzero(apart_s <= START_TOLERANCE_S)]
    order = np.argsort(first.start_s[places[0]], kind="stable")
    if not len(order):
        return "no EEG window starts together with an ECG window"
    paired: _Pairs = {"start_s": first.start_s[places[0]][order]}
    rows = {each: found.rows[place[order]] for (each, found), place in zip(there.items(), places, strict=True)}
    return paired | rows


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
