"""Predictions as the methods write them, on a made-up cohort: subjects' own levels, a clip effect, a known signal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.cohorts.planted_levels import Latents
from physiopipe.experiments.predictions import write_predictions
from physiopipe.methods.registry import METHODS
from physiopipe.params import Params, check_params
from physiopipe.results.intervals import SeedPredictions
from physiopipe.results.study import Study, study_of

LABELS = ("valence", "arousal", "dominance")
FUSIONS = ("gated", "cross_attention", "mixture")
READS_RAW = "Reads EEG, and the raw ECG's QRS and T amplitudes."
PRETRAINED = {
    "eeg": "untrained (no weights given)",
    "ecg": "pretrained on 312 simulated records, 4,000 steps (ecg_encoder.safetensors, sha256 0123456789ab)",
}
FROZEN = "Frozen, embeddings standardised, averaged over channels and patches, epoch of best validation AUC."
ABOUT: dict[str, dict[str, Any]] = {
    "always_high": {"inputs": [], "provenance": "baseline", "note": "Says high for every clip."},
    "clip_prior": {"inputs": [], "provenance": "baseline"},
    "chance": {"inputs": [], "provenance": "baseline"},
    "handcrafted": {"inputs": ["eeg", "ecg"], "provenance": "baseline", "reads": READS_RAW},
    "ours": {
        "inputs": ["eeg", "ecg"], "provenance": "reimplementation", "note": FROZEN, "encoders": PRETRAINED,
    },
}  # fmt: skip
ABOUT |= {name: {"inputs": ["eeg", "ecg"], "provenance": "reimplementation"} for name in METHODS if name not in ABOUT}
for _name in FUSIONS:
    ABOUT[_name]["family"] = "fusion"
ABOUT["cross_attention"]["title"] = "Cross-attention"
SHIFT = dict.fromkeys(METHODS, 0.7) | {
    "always_high": 0.0, "clip_prior": 0.6, "chance": 0.0, "handcrafted": 1.1, "ours": 0.8, "mixture": 1.4
}  # fmt: skip
TABLE = ("always_high", "clip_prior", "chance", "handcrafted", "ours")
ABLATIONS = ("ecg_untrained", "dual_masking", "patch_masking", "leaky_ours")
ROBUST = ("handcrafted", "ours")
CONDITIONS = (
    ("clean", 0.0, 1.0), ("lost_eeg", 0.0, 0.3), ("dropped_eeg_channels", 7.0, 0.6), ("noise_snr_db", 20.0, 0.9),
    ("noise_snr_db", -5.0, 0.1),
)  # fmt: skip


def make_params(**evaluate: object) -> Params:
    settings = {"protocol": "crossval", "seeds": [0, 1], "bootstrap": 300, "permutations": 300, **evaluate}
    content = {
        "data": {"dreamer": {"origin": "simulated"}},
        "methods": [*TABLE, *FUSIONS],
        "evaluate": settings,
        "ablations": {"variants": list(ABLATIONS)},
        "robustness": {"methods": list(ROBUST), "lost_modalities": ["eeg"], "dropped_eeg_channels": [7],
                       "noise_snr_db": [20, -5]},
    }  # fmt: skip
    return check_params(content, "test")


def make_study(**evaluate: object) -> Study:
    return replace(study_of(make_params(**evaluate), "dreamer"), latents=make_latents())


def make_truth(subjects: int, clips: int) -> npt.NDArray[np.bool_]:
    """What is high, (subject, clip, label)."""
    world = np.random.default_rng(7)
    return world.random((subjects, clips, 3)) < world.uniform(0.4, 0.85, (subjects, 1, 3))


def make_latents(subjects: int = 12, clips: int = 18) -> Latents:
    """Levels of the clips that the predictions are of, 1.64 SD higher where they are high."""
    truth = make_truth(subjects, clips).reshape(-1, 3)
    return Latents(
        LABELS, tuple(f"s{number + 1:02d}" for number in range(subjects) for _ in range(clips)),
        tuple(range(1, clips + 1)) * subjects, np.where(truth, 4.0, 2.0), truth,
        1.64 * (truth - truth.mean(axis=0)) + np.random.default_rng(8).normal(size=truth.shape), np.full(3, 1.64), 0.5,
    )  # fmt: skip


def make_predictions(
    method: str, seeds: tuple[int, ...], subjects: int, clips: int, shift: float, protocol: str = "crossval"
) -> pd.DataFrame:
    """Predictions of one method; the truth is the same for every method and seed."""
    truth = make_truth(subjects, clips)
    rows = []
    for seed in seeds:
        noise = np.random.default_rng([seed, *method.encode()])
        level = noise.normal(0, 0.5, (subjects, 1, 3))
        score = shift * truth + level + noise.normal(size=truth.shape)
        probability = np.ones(truth.shape) if method == "always_high" else 1 / (1 + np.exp(-score))
        for index in np.ndindex(*truth.shape):
            subject, clip, label = index
            rows.append(
                {
                    "method": method, "protocol": protocol, "seed": seed, "fold": subject % 5,
                    "subject": f"s{subject + 1:02d}", "clip": clip + 1, "label": LABELS[label],
                    "truth": int(truth[index]), "probability": probability[index], "threshold": 0.55,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def write_predictions_of_all(
    folder: Path, seeds: tuple[int, ...] = (0, 1), subjects: int = 12, clips: int = 18, **changes: object
) -> Path:
    """Write every method's predictions, `changes` in what the files say of themselves; return the folder."""
    for method in METHODS:
        about = {"cohort": "dreamer", "simulated": True, "licence": "BSD-3-Clause", **ABOUT[method], **changes}
        frame = make_predictions(method, seeds, subjects, clips, SHIFT[method])
        write_predictions(folder / f"{method}.parquet", frame, about)
    return folder


def write_side_predictions(results: Path, seeds: tuple[int, ...] = (0, 1), subjects: int = 12, clips: int = 18) -> None:
    """Write predictions of ablations and of damaged clips below the results folder."""
    about = {"cohort": "dreamer", "simulated": True, "licence": "BSD-3-Clause", "inputs": ["eeg"], "provenance": "x"}
    for name in ABLATIONS:
        own = {"title": f"Title of {name}", "claim": "pretraining", "versus": "ours"}
        if name == "patch_masking":
            own |= {"versus": "dual_masking", "pretrain_epochs": 3}
        frame = make_predictions(name, seeds, subjects, clips, 0.2 if name == "ecg_untrained" else 0.7)
        leaky = {"leaky": True} if name.startswith("leaky") else {}
        write_predictions(results / "ablations" / f"{name}.parquet", frame, about | own | leaky)
    for method in ROBUST:
        frames = [
            make_predictions(method, seeds, subjects, clips, SHIFT[method] * part).assign(condition=kind, level=level)
            for kind, level, part in CONDITIONS
        ]
        write_predictions(results / "robustness" / f"{method}.parquet", pd.concat(frames), about)


def seed_predictions(frame: pd.DataFrame) -> list[SeedPredictions]:
    """The same as the statistics take it: one entry a seed, rows in order of subject and clip."""
    found = []
    for _, part in frame.groupby("seed"):
        wide = part.pivot(index=["subject", "clip"], columns="label", values=["truth", "probability", "threshold"])
        subject = np.array([int(name[1:]) - 1 for name, _ in wide.index])
        columns = {
            name: wide[name][list(LABELS)].to_numpy(dtype=float) for name in ("truth", "probability", "threshold")
        }
        found.append(
            SeedPredictions(
                subject, np.arange(len(wide)), columns["truth"] == 1, columns["probability"], columns["threshold"]
            )
        )
    return found
