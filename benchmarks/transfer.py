"""Does pretraining help? Frozen embeddings → logistic regression for the rhythms in the records' headers.

Three descriptions of a record, each the mean over its windows at one rate:

    ours        the pretrained encoder's features, averaged over leads and patches
    untrained   the same of an encoder of the same sizes with random weights, drawn anew for each seed
    spectral    log power from 0.5 to 40 Hz, averaged over leads (Welch, segments of 4 s): no encoder at all

For each of ten seeds the records are split in train and test; on the training records each rhythm gets a logistic
regression on standardised features, its penalty chosen by three-fold cross-validation there. A rhythm counts in a seed
where both sides have it. The figure is the area under the ROC curve on the test records, mean over rhythms; then mean
and 95 % interval (Student's t) over seeds, and of the paired differences. The seeds split the same few records anew, so
the intervals say how much the split matters and are too narrow for other records. The encoder was pretrained, without
labels, on windows of most of these records.

    python benchmarks/transfer.py [--encoder models/reconstruction/encoder.safetensors] [--minutes 10]

Where the encoder's file is missing, benchmarks/reconstruction.py trains it for `--minutes` first.

`--full` is for the whole corpus: `--windows data/windows/challenge --tree FOLDER` (with the headers), the Challenge's
26 scored classes and its metric too, with `--weights weights.csv` of github.com/physionetchallenges/evaluation-2021.

Last line: JSON {"records", "ours", "untrained", "spectral", "ours_minus_untrained", "ours_minus_spectral"}, each
[mean, low, high]; with --full "challenge" holds the same for the metric.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.signal
import scipy.stats
import torch
from loader import build_store
from records import benchmark_tree
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physiopipe.cohorts.challenge_score import (
    RHYTHMS,
    SCORED,
    ChallengeWeights,
    challenge_score,
    diagnoses,
    read_weights,
)
from physiopipe.models.encoder import CrissCrossEncoder, mean_features
from physiopipe.models.weights import load_encoder, read_metadata
from physiopipe.params import Encoder
from physiopipe.recordings.wfdb import read_header
from physiopipe.training.arrays import WindowArrays, load_batch
from physiopipe.windows.pretraining import load_windows
from physiopipe.windows.store import WindowStore

F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

BLOCK = 64
FOLDS = 3
PENALTIES = np.logspace(-5, 0, 6)
WAYS = ("ours", "untrained", "spectral")


def encoder_features(encoder: CrissCrossEncoder, windows: WindowArrays, how: Any) -> F64:
    """Features of windows averaged over leads and patches, (n, width)."""
    encoder.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(windows), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(windows)))
            batch = load_batch(windows, rows, how, torch.device("cpu"))
            found.append(mean_features(encoder.features(batch.x), batch.valid).double().numpy())
    return np.concatenate(found)


def spectral_features(windows: WindowArrays, rate_hz: int) -> F64:
    """Log power of windows by frequency, 0.5 to 40 Hz, averaged over leads that are there, (n, frequencies)."""
    found = []
    for row in range(len(windows)):
        samples = windows.samples[row][:, : windows.valid_patches[row]]
        signal = samples.reshape(len(samples), -1)[windows.channel_mask[row]].astype(np.float64)
        signal = (signal - signal.mean(axis=1, keepdims=True)) / (signal.std(axis=1, keepdims=True) + 1e-9)
        frequencies, power = scipy.signal.welch(signal, rate_hz, nperseg=4 * rate_hz)
        chosen = (frequencies >= 0.5) & (frequencies <= 40)
        found.append(np.log(power[:, chosen] + 1e-9).mean(axis=0))
    return np.array(found)


def record_means(features: F64, record: npt.NDArray[np.int64]) -> F64:
    """Mean over the windows of each record, (records, k); `record` numbers the records from 0."""
    total = np.zeros((record.max() + 1, features.shape[1]))
    np.add.at(total, record, features)
    return total / np.bincount(record)[:, None]


def read_codes(tree: Path, records: list[str]) -> list[list[str]]:
    """SNOMED codes in the headers of these records; the benchmark's copies have a suffix to their names."""
    headers = {path.stem: path for path in tree.rglob("*.hea")}
    found = []
    for record in records:
        path = headers.get(record) or headers[record.rpartition("-")[0]]
        found.append([code.strip() for code in read_header(path).comments.get("dx", "").split(",")])
    return found


def split(records: int, seed: int) -> Bool:
    """Which records are for training: seven tenths."""
    chosen = np.zeros(records, dtype=np.bool_)
    chosen[np.random.default_rng(seed).permutation(records)[: round(0.7 * records)]] = True
    return chosen


def probabilities(features: F64, labels: Bool, train: Bool, seed: int) -> F64:
    """Probability of each label for every record, (record, label); NaN where the training records have one class."""
    found = np.full(labels.shape, np.nan)
    for label in range(labels.shape[1]):
        truth = labels[train, label]
        if min(truth.sum(), (~truth).sum()) < FOLDS:
            continue
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        model = make_pipeline(
            StandardScaler(),
            LogisticRegressionCV(
                Cs=PENALTIES,
                cv=folds,
                scoring="neg_log_loss",
                max_iter=2000,
                l1_ratios=(0.0,),
                use_legacy_attributes=False,
            ),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(features[train], truth)
        found[:, label] = model.predict_proba(features)[:, 1]
    return found


def aucs(probability: F64, labels: Bool, test: Bool) -> F64:
    """AUC of each label on the test records; NaN where it is not defined."""
    found = np.full(labels.shape[1], np.nan)
    for label in range(labels.shape[1]):
        truth = labels[test, label]
        if 0 < truth.sum() < len(truth) and np.isfinite(probability[:, label]).all():
            found[label] = roc_auc_score(truth, probability[test, label])
    return found


def metric(probability: F64, labels: Bool, train: Bool, weights: F64, names: list[str]) -> float:
    """The Challenge metric on the test records, at the one threshold that is best on the training records.

    The same records gave the models, so the threshold leans to high ones; all ways bear that alike.
    """
    known = np.nan_to_num(probability)
    place = names.index("NSR")
    grid = np.linspace(0.05, 0.95, 19)
    scores = [challenge_score(labels[train], known[train] >= least, weights, place) for least in grid]
    return challenge_score(labels[~train], known[~train] >= grid[int(np.argmax(scores))], weights, place)


def interval(values: F64) -> list[float]:
    """Mean, and the ends of its 95 % interval by Student's t."""
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return [round(float(v), 4) for v in (values.mean(), values.mean() - half, values.mean() + half)]


def pretrained(path: Path, minutes: float) -> Path:
    """The encoder's file, trained first where it is missing."""
    if not path.exists():
        script = Path(__file__).with_name("reconstruction.py")
        command = [sys.executable, script, "--minutes", str(minutes), "--output", path.parent]
        print(f"{path} is missing: training one for {minutes:g} minutes", flush=True)
        subprocess.run(command, check=False)  # whether it beats the baselines is not this benchmark's question
    return path


def compare(
    features: Mapping[str, Any], labels: Bool, names: list[str], weights: ChallengeWeights | None, seeds: int
) -> dict[str, Any]:
    """Fit and score every way on every seed; print the table, return the summary."""
    by_label = {way: np.full((seeds, len(names)), np.nan) for way in WAYS}
    scores = {way: np.full(seeds, np.nan) for way in WAYS}
    for seed in range(seeds):
        train = split(len(labels), seed)
        for way in WAYS:
            given = features[way][seed % len(features[way])]
            probability = probabilities(given, labels, train, seed)
            by_label[way][seed] = aucs(probability, labels, ~train)
            if weights is not None:
                scores[way][seed] = metric(probability, labels, train, weights.ordered_as(names), names)
    table = pd.DataFrame({way: pd.DataFrame(values).mean().to_numpy() for way, values in by_label.items()}, index=names)
    table.insert(0, "records", labels.sum(axis=0))
    table.insert(1, "seeds", np.isfinite(by_label["ours"]).sum(axis=0))
    print("\nArea under the ROC curve on test records, mean over seeds:")
    print(table.to_string(float_format="{:.3f}".format))
    means = {way: np.nanmean(values, axis=1) for way, values in by_label.items()}
    summary: dict[str, Any] = {way: interval(values) for way, values in means.items()}
    for other in WAYS[1:]:
        summary[f"ours_minus_{other}"] = interval(means["ours"] - means[other])
    if weights is not None:
        summary["challenge"] = {way: interval(values) for way, values in scores.items()}
        for other in WAYS[1:]:
            summary["challenge"][f"ours_minus_{other}"] = interval(scores["ours"] - scores[other])
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, default=Path("models/reconstruction/encoder.safetensors"))
    parser.add_argument("--minutes", type=float, default=10.0, help="training of an encoder where there is none")
    parser.add_argument("--rate", type=int, default=200, help="windows of this rate, Hz")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--least-records", type=int, default=8, help="records that a rhythm must have")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="the Challenge's 26 classes and its metric")
    parser.add_argument("--weights", type=Path, help="weights.csv of the Challenge (--full)")
    parser.add_argument("--windows", type=Path, help="a collected cohort, instead of the benchmark's records")
    parser.add_argument("--tree", type=Path, help="folder with that cohort's headers")
    arguments = parser.parse_args()
    if (arguments.full and arguments.weights is None) or (arguments.windows is None) != (arguments.tree is None):
        parser.error("--full needs --weights; --windows and --tree go together")
    weights = read_weights(arguments.weights) if arguments.full else None
    torch.set_num_threads(arguments.threads)
    file = pretrained(arguments.encoder, arguments.minutes)
    metadata = read_metadata(file)
    sizes, how = Encoder.model_validate_json(metadata["encoder"]), metadata["normalisation"]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.windows is None:
            tree, what = benchmark_tree(Path(folder))
            store = build_store(tree, Path(folder), 1, 1000)
        else:
            tree, what, store = arguments.tree, str(arguments.windows), WindowStore(arguments.windows)
        rows = store.rows("ecg", (arguments.rate,))
        records, record = np.unique(store.index["record"].to_numpy()[rows].astype(str), return_inverse=True)
        names = list(SCORED if arguments.full else RHYTHMS)
        labels = diagnoses(read_codes(tree, records.tolist()), names)
        windows = load_windows(store, rows)
        features = {
            "ours": [record_means(encoder_features(load_encoder(file, sizes), windows, how), record)],
            "spectral": [record_means(spectral_features(windows, arguments.rate), record)],
            "untrained": [],
        }
        for seed in range(arguments.seeds):
            torch.manual_seed(seed)
            untrained = encoder_features(CrissCrossEncoder(sizes), windows, how)
            features["untrained"].append(record_means(untrained, record))
    if not arguments.full:
        enough = labels.sum(axis=0) >= arguments.least_records
        names, labels = [n for n, kept in zip(names, enough, strict=True) if kept], labels[:, enough]
    widths = {way: given[0].shape[1] for way, given in features.items()}
    print(f"{len(records)} records, {len(rows)} windows at {arguments.rate} Hz, {what}; features: {widths}")
    print(f"encoder: {sizes.layers} layers, {metadata['steps']} steps on {metadata['train_windows']} windows")
    summary = compare(features, labels, names, weights, arguments.seeds)
    print(json.dumps({"records": len(records), **summary}))


if __name__ == "__main__":
    main()
