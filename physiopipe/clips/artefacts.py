"""Samples beyond a limit in the windows that methods are given: held at it, or their channel taken for absent."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from physiopipe.clips.clip_data import MODALITIES, ClipData
from physiopipe.params.clips import Artefacts


@dataclass(frozen=True)
class Touched:
    """What of a modality was beyond its limit.

    Attributes:
        modality, limit: in the stored unit.
        samples, all_samples: of present channels' valid patches, those beyond, and all.
        channels, all_channels: present channels of windows, those with such a sample, and all.
    """

    modality: str
    limit: float
    samples: int
    all_samples: int
    channels: int
    all_channels: int


def without_artefacts(clips: ClipData, rule: Artefacts) -> tuple[ClipData, tuple[Touched, ...]]:
    """The clips (their baselines not) as the rule has them, and what it touched of each limited modality.

    clip: samples are held at ± the limit. mask: a channel with a sample beyond it is absent, exactly 0, in that window.
    """
    if rule.action == "none":
        return clips, ()
    counts = []
    for modality in MODALITIES:
        limit = rule.eeg_limit_uv if modality == "eeg" else rule.ecg_limit
        if limit is None:
            continue
        signal, present = getattr(clips, modality), getattr(clips, f"{modality}_present")
        inside = np.arange(signal.shape[2]) < clips.valid_patches[:, None]
        counted = present[:, :, None] & inside[:, None, :]  # (w, C, P)
        beyond = (np.abs(signal) > limit).sum(axis=3) * counted
        touched = beyond.any(axis=2)
        samples, all_samples = int(beyond.sum()), int(counted.sum()) * signal.shape[3]
        counts.append(Touched(modality, limit, samples, all_samples, int(touched.sum()), int(present.sum())))
        if rule.action == "clip":
            changes: dict[str, Any] = {modality: np.clip(signal, -np.float32(limit), np.float32(limit))}
        else:
            kept = np.where(touched[:, :, None, None], np.float32(0), signal)
            changes = {modality: kept, f"{modality}_present": present & ~touched}
        clips = replace(clips, **changes)
    return clips, tuple(counts)


def artefact_words(rule: Artefacts, touched: tuple[Touched, ...], ecg_unit: str) -> tuple[str, ...]:
    """A sentence on each limited modality: what was beyond its limit, and what became of it."""
    done = {"clip": "held at the limit", "mask": "their channel taken for absent in that window"}.get(rule.action, "")
    units = {"eeg": "µV", "ecg": "mV" if ecg_unit == "mV" else "of the file's own unit"}
    return tuple(
        f"{each.modality.upper()}: {each.samples:,} of {each.all_samples:,} samples were beyond ±{each.limit:g} "
        f"{units[each.modality]}, in {each.channels:,} of {each.all_channels:,} channels of windows; {done}."
        for each in touched
    )
