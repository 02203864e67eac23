"""The windows of chosen clips as methods are given them, with what the cohort's clip rule does to them."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from physiopipe.clips.artefacts import artefact_words, without_artefacts
from physiopipe.clips.clip_data import HIDDEN_LABEL, MODALITIES, Baseline, ClipData
from physiopipe.clips.reading import Windows, read_windows
from physiopipe.clips.rules import by_rule
from physiopipe.windows.store import WindowStore

if TYPE_CHECKING:
    from physiopipe.clips.selection import ClipChoice
    from physiopipe.cohorts.base import ClipRule


def gather_clips(store: WindowStore, choice: "ClipChoice", rule: "ClipRule | None" = None) -> ClipData:
    """Read the chosen windows, int16 times their scale, float32, and do to them what the rule says; None: nothing.

    ECG that shows no heartbeat counts as absent.
    """
    clips = _gathered(store, choice, choice.pairs)
    if rule is None:
        return clips
    clips = by_rule(clips, rule)
    if choice.baseline is None or rule.baseline == "none":
        return clips
    windows = by_rule(_gathered(store, choice, choice.baseline), rule)
    windows = replace(windows, labels=np.full_like(windows.labels, HIDDEN_LABEL))
    return replace(clips, baseline=Baseline(windows, rule.baseline))


def artefacts_of(store: WindowStore, choice: "ClipChoice", rule: "ClipRule") -> tuple[str, ...]:
    """How much of the chosen windows the rule's limits touch, baselines apart, in sentences; nothing where it has no
    limit.
    """
    if rule.artefacts.action == "none":
        return ()
    clips = _gathered(store, choice, choice.pairs)
    _, touched = without_artefacts(clips, rule.artefacts)
    return artefact_words(rule.artefacts, touched, clips.ecg_unit)


def _gathered(store: WindowStore, choice: "ClipChoice", pairs: pd.DataFrame) -> ClipData:
    read = {each: read_windows(store, pairs, each) for each in MODALITIES if each in pairs}
    some = next(iter(read.values()))
    windows, _, patches, samples = some.windows.shape
    nothing = Windows(
        np.zeros((windows, 0, patches, samples), np.float32),
        np.zeros((windows, 0), np.bool_),
        some.valid_patches,
        (),
        "unspecified",
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
        clip_of=pairs["clip_of"].to_numpy(np.int64),
        tasks=choice.tasks,
        eeg_channels=eeg.channels,
        ecg_channels=ecg.channels,
        ecg_unit=ecg.unit,
    )
