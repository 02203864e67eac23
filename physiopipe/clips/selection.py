"""From stored windows to the clips that methods are fitted on: the last seconds, both modalities aligned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.artefacts import artefact_words, without_artefacts
from physiopipe.clips.clip_data import F32, HIDDEN_LABEL, Baseline, ClipData
from physiopipe.clips.limb_leads import with_limb_leads
from physiopipe.errors import PhysiopipeError
from physiopipe.params import PATCH_SAMPLES
from physiopipe.windows.store import WindowStore

if TYPE_CHECKING:
    from physiopipe.cohorts.base import ClipRule

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
        baseline: as `pairs`, the windows of the baseline before each clip; None where it is not asked for.
    """

    clips: pd.DataFrame
    pairs: pd.DataFrame
    left_out: tuple[tuple[str, int, str], ...]
    tasks: tuple[str, ...]
    baseline: pd.DataFrame | None = None


def load_clips(windows_folder: Path, last_s: float, high_from: Mapping[str, float]) -> ClipData:
    """All usable clips of the cohort in `windows_folder`; what is left out is told by `choose_clips`."""
    store = WindowStore(windows_folder)
    return gather_clips(store, choose_clips(store, last_s, high_from))


def choose_clips(
    store: WindowStore, last_s: float, high_from: Mapping[str, float], *, with_baseline: bool = False
) -> ClipChoice:
    """Pair the EEG and ECG windows of each clip's last `last_s` seconds that start at the same instant.

    Args:
        high_from: tasks in order, columns of the index, and the least value of each that is high.
        with_baseline: whether the windows of each clip's baseline are paired too, all of them; a clip without any is
            left out.

    Raises:
        PhysiopipeError: no clip has a window in both modalities, and in its baseline where that is asked for.
    """
    eeg = _windows_of(store, "eeg", last_s, high_from)
    ecg = _windows_of(store, "ecg", last_s, high_from)
    rest = _baselines(store, high_from) if with_baseline else None
    clips: list[dict[str, str | int]] = []
    pairs: list[pd.DataFrame] = []
    baselines: list[pd.DataFrame] = []
    left_out: list[tuple[str, int, str]] = []
    names = pd.concat([eeg, ecg])[["subject", "clip"]].drop_duplicates().sort_values(["subject", "clip"])
    eeg_of, ecg_of = (dict(list(found.groupby(["subject", "clip"]))) for found in (eeg, ecg))
    for subject, clip in names.itertuples(index=False):
        paired, values, reason = _pair(eeg_of.get((subject, clip)), ecg_of.get((subject, clip)), last_s, [*high_from])
        if not reason and rest is not None and (subject, clip) not in rest:
            reason = "no window of EEG and ECG of its baseline"
        if reason:
            left_out.append((str(subject), int(clip), reason))
            continue
        pairs.append(paired.assign(clip_of=len(clips)))
        if rest is not None:
            baselines.append(rest[subject, clip].assign(clip_of=len(clips)))
        high = {task: int(value >= limit) for (task, limit), value in zip(high_from.items(), values, strict=True)}
        clips.append({"subject": str(subject), "clip": int(clip), **high})
    if not clips:
        detail = "; ".join(f"{s} clip {c}: {why}" for s, c, why in left_out[:3]) or "the index names no clip"
        raise PhysiopipeError(
            f"{store.folder}: no clip has windows of EEG and ECG at {RATE_HZ} Hz that start together ({detail}). "
            "Prepare both modalities of the cohort with the same shard parameters."
        )
    whole = pd.concat(pairs, ignore_index=True)
    before = pd.concat(baselines, ignore_index=True) if baselines else None
    return ClipChoice(pd.DataFrame(clips), whole, tuple(left_out), tuple(high_from), before)


def gather_clips(store: WindowStore, choice: ClipChoice, rule: "ClipRule | None" = None) -> ClipData:
    """Read the chosen windows, int16 times their scale, float32, and do to them what the rule says; None: nothing."""
    if rule is None:
        return _gathered(store, choice, choice.pairs)
    clips = _by_rule(_gathered(store, choice, choice.pairs), rule)
    if choice.baseline is None or rule.baseline == "none":
        return clips
    windows = _by_rule(_gathered(store, choice, choice.baseline), rule)
    windows = replace(windows, labels=np.full_like(windows.labels, HIDDEN_LABEL))
    return replace(clips, baseline=Baseline(windows, rule.baseline))


def _by_rule(clips: ClipData, rule: "ClipRule") -> ClipData:
    clips, _ = without_artefacts(clips, rule.artefacts)
    return with_limb_leads(clips) if rule.ecg_leads == "limb" else clips


def artefacts_of(store: WindowStore, choice: ClipChoice, rule: "ClipRule") -> tuple[str, ...]:
    """How much of the chosen windows the rule's limits touch, baselines apart, in sentences; nothing where it has no
    limit.
    """
    if rule.artefacts.action == "none":
        return ()
    _, touched = without_artefacts(_gathered(store, choice, choice.pairs), rule.artefacts)
    return artefact_words(rule.artefacts, touched, str(store.attributes("ecg", RATE_HZ)["unit"]))


def _gathered(store: WindowStore, choice: ClipChoice, pairs: pd.DataFrame) -> ClipData:
    eeg, eeg_valid = _dequantised(store, pairs["eeg"].to_numpy())
    ecg, ecg_valid = _dequantised(store, pairs["ecg"].to_numpy())
    return ClipData(
        subjects=choice.clips["subject"].to_numpy().astype(np.str_),
        clips=choice.clips["clip"].to_numpy(np.int64),
        labels=choice.clips[list(choice.tasks)].to_numpy(np.int8),
        eeg=eeg,
        ecg=ecg,
        eeg_present=_present(store, pairs["eeg"].to_numpy(), eeg.shape[1]),
        ecg_present=_present(store, pairs["ecg"].to_numpy(), ecg.shape[1]),
        valid_patches=np.minimum(eeg_valid, ecg_valid).astype(np.int64),
        clip_of=pairs["clip_of"].to_numpy(np.int64),
        tasks=choice.tasks,
        eeg_channels=tuple(store.attributes("eeg", RATE_HZ)["channels"]),
        ecg_channels=tuple(store.attributes("ecg", RATE_HZ)["channels"]),
        ecg_unit=str(store.attributes("ecg", RATE_HZ)["unit"]),
    )


def _baselines(store: WindowStore, tasks: Iterable[str]) -> dict[tuple[str, int], pd.DataFrame]:
    """Paired windows of the baseline before each clip, by subject and clip."""
    eeg, ecg = (_windows_of(store, modality, np.inf, tasks, baseline=True) for modality in ("eeg", "ecg"))
    if eeg.empty or ecg.empty:
        name = store.manifest["cohort"]
        raise PhysiopipeError(
            f"{store.folder}: no windows of a baseline, and clips.{name}.baseline asks for them. Set "
            f"data.{name}.read_baseline to true and prepare the cohort again (`dvc repro` does), or set "
            f"clips.{name}.baseline to none."
        )
    ecg_of = dict(list(ecg.groupby(["subject", "clip"])))
    paired = {
        (str(subject), -int(own["clip"].iloc[0])): _together(own, ecg_of[subject, clip])
        for (subject, clip), own in eeg.groupby(["subject", "clip"])
        if (subject, clip) in ecg_of
    }
    return {key: found for key, found in paired.items() if len(found)}


def _windows_of(
    store: WindowStore, modality: str, last_s: float, tasks: Iterable[str], *, baseline: bool = False
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
    if rows.empty:
        return rows
    ends = rows.groupby(["subject", "clip"])["start_s"].transform("max")
    window_s = _patches(store, rows) * PATCH_SAMPLES / RATE_HZ
    return rows[rows["start_s"] + START_TOLERANCE_S >= ends + window_s - last_s]


def _pair(
    eeg: pd.DataFrame | None, ecg: pd.DataFrame | None, last_s: float, tasks: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.float64], str]:
    """Windows of one clip that start together, its tasks' values, and why it cannot be used (empty where it can)."""
    nothing, unknown = pd.DataFrame(), np.full(len(tasks), np.nan)
    if eeg is None or ecg is None:
        return nothing, unknown, f"no {'EEG' if eeg is None else 'ECG'} window in the last {last_s:g} s"
    values = eeg[tasks].to_numpy(np.float64)[0]
    if not np.isfinite(values).all():
        return nothing, values, "a rating is missing"
    if not np.array_equal(values, ecg[tasks].to_numpy(np.float64)[0]):
        return nothing, values, "EEG and ECG carry different ratings"
    paired = _together(eeg, ecg)
    return paired, values, "" if len(paired) else "no EEG window starts together with an ECG window"


def _together(eeg: pd.DataFrame, ecg: pd.DataFrame) -> pd.DataFrame:
    """Windows that start at the same instant: start_s, eeg and ecg (rows of the index), in order of time."""
    apart_s = np.abs(np.subtract.outer(eeg["start_s"].to_numpy(np.float64), ecg["start_s"].to_numpy(np.float64)))
    of_eeg, of_ecg = np.nonzero(apart_s <= START_TOLERANCE_S)
    paired = eeg[["start_s", "window"]].rename(columns={"window": "eeg"}).iloc[of_eeg]
    return paired.assign(ecg=ecg["window"].to_numpy()[of_ecg]).sort_values("start_s")


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
