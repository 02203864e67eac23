"""From stored windows to the clips that methods are fitted on: the last seconds, both modalities aligned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.clip_data import MODALITIES, NUMBERS_OF_RECORDING, ClipData, Modality
from physiopipe.clips.gathering import gather_clips as gather_clips
from physiopipe.clips.pairing import START_TOLERANCE_S, starting_together
from physiopipe.clips.reading import RATE_HZ, without_beats
from physiopipe.errors import PhysiopipeError
from physiopipe.params import PATCH_SAMPLES
from physiopipe.windows.store import WindowStore


@dataclass(frozen=True)
class ClipChoice:
    """Which stored windows make up which clips, known from the index alone.

    Attributes:
        clips: one row a clip: subject, clip, tasks (0 or 1).
        pairs: one row a window: clip_of, start_s, eeg and ecg (rows of the index) as far as the cohort has them,
            ordered by clip, then time.
        left_out: subject, clip and reason of every clip that cannot be used.
        tasks: names of the tasks, in order.
        baseline: as `pairs`, the windows of the baseline before each clip; None where it is not asked for.
    """

    clips: pd.DataFrame
    pairs: pd.DataFrame
    left_out: tuple[tuple[str, int, str], ...]
    tasks: tuple[str, ...]
    baseline: pd.DataFrame | None = None


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
    with_baseline: bool = False,
) -> ClipChoice:
    """Pair the EEG and ECG windows of each clip's last `last_s` seconds that start at the same instant.

    Args:
        last_s: None: all of a clip.
        high_from: tasks in order, columns of the index, and the least value of each that is high.
        modalities: those of the cohort; of one alone, every window counts.
        each_window: whether each window becomes a clip by itself.
        with_baseline: whether the windows of each clip's baseline are paired too, all of them; a clip without any is
            left out.

    Raises:
        PhysiopipeError: no clip has a window in both modalities, and in its baseline where that is asked for.
    """
    rows = {each: _windows_of(store, each, last_s, high_from) for each in modalities}
    rest = _baselines(store, modalities, high_from) if with_baseline else None
    clips: list[dict[str, str | int]] = []
    pairs: list[pd.DataFrame] = []
    baselines: list[pd.DataFrame] = []
    left_out: list[tuple[str, int, str]] = []
    names = pd.concat(list(rows.values()))[["subject", "clip"]].drop_duplicates().sort_values(["subject", "clip"])
    by_clip = {each: dict(list(found.groupby(["subject", "clip"]))) for each, found in rows.items()}
    for subject, clip in names.itertuples(index=False):
        mine = {each: found.get((subject, clip)) for each, found in by_clip.items()}
        paired, values, reason = _paired(mine, "it" if last_s is None else f"the last {last_s:g} s", [*high_from])
        if not reason and rest is not None and (subject, clip) not in rest:
            reason = "no window of its baseline"
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
        if rest is not None:
            before = rest[subject, clip]
            baselines += [before.assign(clip_of=len(clips) + number) for number in range(len(numbers))]
        clips += [{"subject": str(subject), "clip": number, **high} for number in numbers]
    if not clips:
        detail = "; ".join(f"{s} clip {c}: {why}" for s, c, why in left_out[:3]) or "the index names no clip"
        raise PhysiopipeError(
            f"{store.folder}: no clip has windows of {' and '.join(each.upper() for each in modalities)} at {RATE_HZ} "
            f"Hz that start together ({detail}). "
            "Prepare both modalities of the cohort with the same shard parameters."
        )
    whole = pd.concat(pairs, ignore_index=True)
    at_rest = pd.concat(baselines, ignore_index=True) if baselines else None
    return ClipChoice(pd.DataFrame(clips), whole, tuple(left_out), tuple(high_from), at_rest)


def clips_without_beats(store: WindowStore, choice: ClipChoice) -> list[tuple[str, int, int, int]]:
    """Clips with windows whose ECG shows no heartbeat: subject, clip, how many windows, of how many."""
    flagged = choice.pairs.assign(flagged=without_beats(store, choice.pairs)).groupby("clip_of")["flagged"]
    counts = flagged.agg(["sum", "size"])
    return [
        (str(choice.clips["subject"][clip]), int(choice.clips["clip"][clip]), int(silent), int(windows))
        for clip, silent, windows in counts[counts["sum"] > 0].itertuples(name=None)
    ]


def _numbers_of_windows(store: WindowStore, recording: int, count: int) -> list[int]:
    """Numbers of a recording's windows as clips, in order of time."""
    if count >= NUMBERS_OF_RECORDING:
        raise PhysiopipeError(
            f"{store.folder}: recording {recording} has {count} windows, expected fewer than {NUMBERS_OF_RECORDING} "
            "where each is scored by itself: set shard's max_windows_per_record."
        )
    return [NUMBERS_OF_RECORDING * recording + number for number in range(1, count + 1)]


def _baselines(
    store: WindowStore, modalities: Sequence[Modality], tasks: Iterable[str]
) -> dict[tuple[str, int], pd.DataFrame]:
    """Windows of the baseline before each clip, of both modalities those that start together, by subject and clip."""
    rows = {each: _windows_of(store, each, None, tasks, baseline=True) for each in modalities}
    if any(found.empty for found in rows.values()):
        name = store.manifest["cohort"]
        raise PhysiopipeError(
            f"{store.folder}: no windows of a baseline, and clips.{name}.baseline asks for them. Set "
            f"data.{name}.read_baseline to true and prepare the cohort again (`dvc repro` does), or set "
            f"clips.{name}.baseline to none."
        )
    first, *others = (dict(list(each.groupby(["subject", "clip"]))) for each in rows.values())
    paired = {}
    for key, own in first.items():
        if all(key in other for other in others):
            found = _together(own, others[0][key]) if others else _alone(own, modalities[0])
            if len(found):
                paired[str(own["subject"].iloc[0]), -int(own["clip"].iloc[0])] = found
    return paired


def _windows_of(
    store: WindowStore, modality: str, last_s: float | None, tasks: Iterable[str], *, baseline: bool = False
) -> pd.DataFrame:
    """Index rows of a modality within the last seconds of their clip, or of its baseline, whose number is negative,
    with `window` naming the row of the index.
    """
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
    rows = rows[(rows["clip"] < 0) == baseline]
    if last_s is None or rows.empty:
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
    return _alone(rows, modality), values, ""


def _pair(eeg: pd.DataFrame, ecg: pd.DataFrame, tasks: list[str]) -> tuple[pd.DataFrame, npt.NDArray[np.float64], str]:
    """As `_paired`, of both modalities."""
    nothing = pd.DataFrame()
    values = eeg[tasks].to_numpy(np.float64)[0]
    if not np.isfinite(values).all():
        return nothing, values, "a rating is missing"
    if not np.array_equal(values, ecg[tasks].to_numpy(np.float64)[0]):
        return nothing, values, "EEG and ECG carry different ratings"
    paired = _together(eeg, ecg)
    return paired, values, "" if len(paired) else "no EEG window starts together with an ECG window"


def _alone(rows: pd.DataFrame, modality: Modality) -> pd.DataFrame:
    """Windows of one modality in order of time: start_s, and the row of the index under its name."""
    return rows[["start_s", "window"]].rename(columns={"window": modality}).sort_values("start_s")


def _together(eeg: pd.DataFrame, ecg: pd.DataFrame) -> pd.DataFrame:
    """Windows that start at the same instant: start_s, eeg and ecg (rows of the index), in order of time."""
    of_eeg, of_ecg = starting_together(eeg["start_s"].to_numpy(np.float64), ecg["start_s"].to_numpy(np.float64))
    paired = eeg[["start_s", "window"]].rename(columns={"window": "eeg"}).iloc[of_eeg]
    return paired.assign(ecg=ecg["window"].to_numpy()[of_ecg]).sort_values("start_s")


def _patches(store: WindowStore, rows: pd.DataFrame) -> int:
    """Patches of the stored windows of one modality and rate."""
    counts, _, _ = store.gather(rows["window"].to_numpy(np.int64)[:1])
    return int(counts.shape[2])
