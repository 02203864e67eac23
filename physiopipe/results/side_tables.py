"""The tables beside Table 1, from saved predictions: fusions, ablations, and robustness to damaged clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from physiopipe.experiments.predictions import read_predictions
from physiopipe.params import FUSIONS, Params
from physiopipe.results import contrasts
from physiopipe.results.contrasts import Contrast, contrast_frame
from physiopipe.results.evaluate import (
    REFERENCE,
    TestSet,
    attainable_levels,
    check_predictions,
    cohort_name,
    one_seed,
    read_predictions_of,
    write_text,
)
from physiopipe.results.metrics import F64, LABELS, count_by_subject, subject_aucs
from physiopipe.results.statistics import (
    MEAN,
    SeedPredictions,
    compare,
    estimate,
    mean_of_defined,
    permutation_p_values,
    resample_subjects,
)
from physiopipe.results.table1 import title_of

FUSION_ROWS = ("ecg_only", "eeg_only", REFERENCE, *FUSIONS)
FUSIONS_ARE = (
    "Ways to fuse the two encoders, with the same encoders, training and at most as many trainable parameters as "
    "Ours (concatenation); one modality alone beside them."
)
ABLATIONS_ARE = "Ours with one thing changed, and what a leaky split would have claimed."
ROBUSTNESS_COLUMNS = (
    "cohort", "protocol", "method", "title", "condition", "level", "label", "value_percent", "low_percent",
    "high_percent",
)  # fmt: skip


def write_side_tables(results_folder: Path, params: Params) -> pd.DataFrame:
    """Write fusions.csv/.md, ablations.csv/.md and robustness.csv into `results_folder`; return the ablations.

    Raises:
        PhysiopipeError: predictions missing, of another protocol or cohort, or not on the same clips.
    """
    confidence = params.evaluate.confidence
    ablations = _ablations(results_folder, params)
    tables = (
        ("fusions", "Fusions", FUSIONS_ARE, _fusions(results_folder, params)),
        ("ablations", "Ablations", ABLATIONS_ARE, ablations),
    )
    for name, title, what, frame in tables:
        write_text(results_folder / f"{name}.csv", frame.to_csv(index=False))
        write_text(results_folder / f"{name}.md", contrasts.as_markdown(frame, title, what, confidence))
    robustness = _robustness(results_folder / "robustness", params)
    write_text(results_folder / "robustness.csv", robustness.to_csv(index=False))
    return ablations


def share_of_the_attainable(ablations: pd.DataFrame) -> list[str]:
    """Lines that say what share of the attainable excess Ours reaches, with and without what pretraining gave it."""
    shares = ablations.set_index("name")["attainable_share_percent"].dropna()
    words = {
        REFERENCE: "Ours reaches {:.0f} % of the attainable excess over chance",
        "ecg_untrained": "with an untrained ECG encoder it reaches {:.0f} %",
    }
    return [text.format(shares[name]) for name, text in words.items() if name in shares.index]


def _fusions(results_folder: Path, params: Params) -> pd.DataFrame:
    names: list[str] = [name for name in FUSION_ROWS if name in params.methods]
    if not names:
        return contrast_frame([], [], None, cohort_name(params), params.evaluate.protocol)
    test = read_predictions_of({name: results_folder / "predictions" / f"{name}.parquet" for name in names}, params)
    about = {name: {"title": title_of(name), "claim": "fusion", "versus": REFERENCE} for name in names}
    return _contrasts(test, about, params)


def _ablations(results_folder: Path, params: Params) -> pd.DataFrame:
    variants: list[str] = list(params.ablations.variants)
    files = {name: results_folder / "ablations" / f"{name}.parquet" for name in variants}
    if REFERENCE in params.methods:
        files = {REFERENCE: results_folder / "predictions" / f"{REFERENCE}.parquet", **files}
    test = read_predictions_of(files, params)
    about = dict(test.about)
    if REFERENCE in about:
        about[REFERENCE] = {"title": title_of(REFERENCE), "claim": "reference"}
    for name, own in about.items():
        notes = [own["note"]] if "note" in own else []
        if "pretrain_epochs" in own:
            notes.append(f"ECG encoder pretrained for {own['pretrain_epochs']} epochs.")
        if own.get("leaky"):
            notes.append("LEAKY on purpose: no result, only what the mistake would have claimed.")
        about[name] = own | {"note": " ".join(notes)}
    return _contrasts(test, about, params)


def _contrasts(test: TestSet, about: Mapping[str, Mapping[str, str]], params: Params) -> pd.DataFrame:
    settings = params.evaluate
    weights = resample_subjects(len(test.subjects), settings.bootstrap, settings.resampling_seed)
    estimates = {name: estimate(seeds, weights, settings.confidence) for name, seeds in test.methods.items()}
    p_values = permutation_p_values(list(test.methods.values()), settings.permutations, settings.resampling_seed)
    pairs = [
        (name, about[name]["versus"])
        for name in test.methods
        if about[name].get("versus") in estimates and about[name]["versus"] != name
    ]
    rows = [
        Contrast(
            name, about[name]["title"], about[name]["claim"], about[name].get("note", ""),
            about[name].get("versus", ""), estimates[name], p_value,
        )
        for name, p_value in zip(test.methods, p_values, strict=True)
    ]  # fmt: skip
    compared = compare(pairs, estimates, settings.confidence, settings.permutations, settings.resampling_seed)
    return contrast_frame(rows, compared, attainable_levels(params), cohort_name(params), settings.protocol)


def _robustness(folder: Path, params: Params) -> pd.DataFrame:
    """AUC within subjects of each method, condition, level and label, ROBUSTNESS_COLUMNS."""
    rows = []
    for method in params.robustness.methods:
        path = folder / f"{method}.parquet"
        whole, about = read_predictions(path)
        subjects = tuple(sorted(whole["subject"].unique()))
        settings = params.evaluate
        weights = resample_subjects(len(subjects), settings.bootstrap, settings.resampling_seed)
        for (condition, level), frame in whole.groupby(["condition", "level"], sort=False):
            check_predictions(path, frame, about, params)
            clips = frame[["subject", "clip"]].drop_duplicates().itertuples(index=False, name=None)
            numbered = {key: number for number, key in enumerate(sorted(clips))}
            seeds = [one_seed(part, subjects, numbered) for _, part in frame.groupby("seed", sort=True)]
            found = headline(seeds, weights, settings.confidence)
            rows += [
                {
                    "cohort": cohort_name(params), "protocol": settings.protocol, "method": method,
                    "title": title_of(method), "condition": condition, "level": level, "label": label,
                    **{f"{end}_percent": round(100 * value, 4) for end, value in zip(_ENDS, values, strict=True)},
                }
                for label, values in found.items()
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(ROBUSTNESS_COLUMNS))


_ENDS = ("value", "low", "high")


def headline(
    seeds: Sequence[SeedPredictions], weights: F64, confidence: float
) -> dict[str, tuple[float, float, float]]:
    """AUC within subjects with its interval (value, low, high), by label and for their mean; seeds are averaged."""
    table = np.concatenate([np.ones((1, weights.shape[1])), weights])
    columns = {}
    for position, label in enumerate(LABELS):
        by_seed = []
        for one in seeds:
            counts = count_by_subject(
                one.truth[:, position], one.probability[:, position], one.threshold[:, position], one.subject,
                weights.shape[1],
            )  # fmt: skip
            own = subject_aucs(counts)
            total = table @ np.isfinite(own).astype(np.float64)
            sums = table @ np.nan_to_num(own)
            by_seed.append(np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0))
        columns[label] = mean_of_defined(np.stack(by_seed))
    columns[MEAN] = mean_of_defined(np.stack([columns[label] for label in LABELS]))
    tails = (50 * (1 - confidence), 50 * (1 + confidence))
    found = {}
    for label, column in columns.items():
        defined = column[1:][np.isfinite(column[1:])]
        low, high = np.percentile(defined, tails) if defined.size else (np.nan, np.nan)
        found[label] = (float(column[0]), float(low), float(high))
    return found
