"""Predictions as the methods write them, on a made-up cohort: subjects' own levels, a clip effect, a known signal."""

from pathlib import Path

import numpy as np
import pandas as pd

from physiopipe.params import METHODS, Params, check_params
from physiopipe.results.predictions import write_predictions
from physiopipe.results.statistics import SeedPredictions

LABELS = ("valence", "arousal", "dominance")
ABOUT = {
    "always_high": {"inputs": [], "provenance": "baseline"},
    "clip_prior": {"inputs": [], "provenance": "baseline"},
    "chance": {"inputs": [], "provenance": "baseline"},
    "handcrafted": {"inputs": ["eeg", "ecg"], "provenance": "baseline"},
    "ours": {"inputs": ["eeg", "ecg"], "provenance": "reimplementation; EEG encoder untrained (no weights given)"},
}
SHIFT = {"always_high": 0.0, "clip_prior": 0.6, "chance": 0.0, "handcrafted": 1.1, "ours": 0.8}


def make_params(**evaluate: object) -> Params:
    settings = {"protocol": "crossval", "seeds": [0, 1], "bootstrap": 300, "permutations": 300, **evaluate}
    return check_params({"data": {"dreamer": {"origin": "simulated"}}, "evaluate": settings}, "test")


def make_predictions(
    method: str, seeds: tuple[int, ...], subjects: int, clips: int, shift: float, protocol: str = "crossval"
) -> pd.DataFrame:
    """Predictions of one method; the truth is the same for every method and seed."""
    world = np.random.default_rng(7)
    truth = world.random((subjects, clips, 3)) < world.uniform(0.4, 0.85, (subjects, 1, 3))
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
