"""What can be read from frozen embeddings of windows, on people who were not used to learn the reading?

Each quantity that the handcrafted row is made of is predicted from the embedding of the same window by ridge regression
on standardised embeddings: heart rate and log QRS amplitude from the ECG encoder's, log band powers from the EEG
encoder's, averaged over channels and of each channel (there also from that channel's own embedding, averaged over
patches). Every window that is stored of a cohort counts, those without heartbeats not for the ECG.

Folds by person as in the study, one set a seed: training people fit, validation people choose the penalty, test people
are predicted once. R² is 1 - SSE / SST over the test windows of all folds: `all` about the mean of all windows;
`within` after each person's mean is taken out of truth and prediction, which is what tells a person's two recordings
apart. Under 0: worse than the mean. Both are means over seeds, and over draws of an untrained encoder (the reading from
a channel's own embedding: the first draw alone, its mean over channels and bands); intervals are percentiles of a
bootstrap over people.

    python benchmarks/what_embeddings_know.py --encoder "4 epochs=models/ecg_encoder.safetensors"

Last line: JSON {quantity: {encoder: {layer: {"all": [value, low, high], "within": [...]}}}}.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import numpy.typing as npt
import torch

from physiopipe.clips.clip_data import ClipData, Modality
from physiopipe.clips.embeddings import EncoderChoice, Encoders, ecg_input, eeg_input
from physiopipe.clips.features import BANDS_HZ, ECG_FEATURES, window_features
from physiopipe.clips.gathering import gather_clips
from physiopipe.clips.selection import choose_clips
from physiopipe.experiments.study import Study
from physiopipe.experiments.subject_splits import Fold
from physiopipe.models.encoder import mean_features
from physiopipe.models.fusion import channel_means
from physiopipe.models.ridge import Ridge
from physiopipe.params import Params, load_params
from physiopipe.windows.store import WindowStore

F64 = npt.NDArray[np.float64]
PENALTIES = np.logspace(-1, 6, 15)
ECG_QUANTITIES = {"heart rate": "heart_rate_bpm", "log QRS amplitude": "log_qrs_amplitude"}
BLOCK = 32  # windows of a forward pass
RESAMPLES = 2000


def all_windows(params: Params, cohort: str, windows: Path) -> tuple[ClipData, Study]:
    """Every stored window of the cohort."""
    study = Study("ours", params, cohort, windows, None, Path(params.run.state_folder))
    store = WindowStore(windows / cohort)
    return gather_clips(store, choose_clips(store, None, study.high_from, ("eeg", "ecg")), study.rule), study


def embedded(encoders: Encoders, clips: ClipData, modality: Modality, layer: int | None) -> tuple[F64, F64]:
    """Embeddings of windows averaged over channels and patches, (w, d), and of each channel, (w, C, d)."""
    model = encoders.encoder(modality).eval()
    if modality == "eeg":
        x, valid = eeg_input(clips, encoders.choice.eeg_scale_uv)
    else:
        x, valid = ecg_input(clips, encoders.ecg_normalisation)
    whole, channels = [], []
    with torch.inference_mode():
        for start in range(0, len(x), BLOCK):
            part = slice(start, start + BLOCK)
            features = model.features(x[part], layer=layer)
            whole.append(mean_features(features, valid[part]))
            channels.append(channel_means(features, valid[part]))
    return torch.cat(whole).double().numpy(), torch.cat(channels).double().numpy()


def held_out(x: F64, y: F64, people: npt.NDArray[np.str_], folds: list[Fold]) -> F64:
    """Predictions (w, targets) of the windows of each fold's test people; NaN where a target (w, targets) is not known
    or nobody is tested.
    """
    found = np.full(y.shape, np.nan)
    for fold in folds:
        train, validation, test = (np.isin(people, sorted(side)) for side in (fold.train, fold.validation, fold.test))
        mean, deviation = x[train].mean(axis=0), x[train].std(axis=0)
        scaled = (x - mean) / np.where(deviation > 1e-8, deviation, 1.0)
        ridge = Ridge.fit(scaled[train], y[train])
        errors = np.square(ridge.predictions(scaled[validation], PENALTIES) - y[validation]).sum(axis=1)
        weights, intercepts = ridge.weights(PENALTIES[errors.argmin(axis=0)])
        found[test] = scaled[test] @ weights + intercepts
    return found


def r2(y: F64, found: F64, people: npt.NDArray[np.str_], weights: F64) -> tuple[F64, F64]:
    """R² about the mean of all, and within people, for weights (resample, person), mean over targets."""
    _, person = np.unique(people, return_inverse=True)

    def sums(values: F64) -> F64:
        total = np.zeros((weights.shape[1], values.shape[1]))
        np.add.at(total, person, values)
        return total

    count = np.bincount(person)[:, None]
    error = weights @ sums(np.square(found - y))
    spread = weights @ sums(np.square(y)) - np.square(weights @ sums(y)) / (weights @ count)
    y_within, found_within = (values - (sums(values) / count)[person] for values in (y, found))
    error_within = weights @ sums(np.square(found_within - y_within))
    spread_within = weights @ sums(np.square(y_within))
    return (1 - error / spread).mean(axis=1), (1 - error_within / spread_within).mean(axis=1)


class Readings:
    """R² by quantity, encoder and layer; draws and seeds are averaged in every resample."""

    def __init__(self, study: Study, seeds: range) -> None:
        self._study, self._seeds = study, seeds
        self.columns: dict[tuple[str, str, str], list[tuple[F64, F64]]] = {}

    def add(
        self, quantities: Mapping[str, F64], encoder: str, layer: str, x: F64, people: npt.NDArray[np.str_]
    ) -> None:
        """Read quantities, (w, targets) each, from `x` (w, k)."""
        y = np.concatenate(list(quantities.values()), axis=1)
        names = sorted(set(people.tolist()))
        draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
        weights = np.concatenate([np.ones((1, len(names))), draws])
        for seed in self._seeds:
            found = held_out(x, y, people, self._study.split(names, seed))
            end = 0
            for quantity, values in quantities.items():
                start, end = end, end + values.shape[1]
                column = r2(values, found[:, start:end], people, weights)
                self.columns.setdefault((quantity, encoder, layer), []).append(column)

    def numbers(self) -> Iterator[tuple[tuple[str, str, str], dict[str, list[float]]]]:
        for key, columns in self.columns.items():
            row = {}
            for place, kind in enumerate(("all", "within")):
                mean = np.mean([each[place] for each in columns], axis=0)
                row[kind] = [round(float(value), 3) for value in (mean[0], *np.percentile(mean[1:], (2.5, 97.5)))]
            yield key, row


def encoders_of(params: Params, files: Mapping[str, Path], draws: int) -> Iterator[tuple[str, Encoders]]:
    """The pretrained ECG encoders by name, and draws of untrained encoders of both modalities."""
    given = params.encoders
    untrained = given.eeg_weights.model_copy(update={"origin": "none"})
    choice = EncoderChoice(given.eeg, params.pretrain.encoder, untrained, None, given.eeg_scale_uv)
    cpu, state = torch.device("cpu"), Path(params.run.state_folder)
    for title, path in files.items():
        yield title, Encoders(replace(choice, ecg_weights=path), state, cpu)
    for draw in range(draws):
        yield "untrained", Encoders(replace(choice, draw=draw), state, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--cohort", default="eegmat")
    parser.add_argument("--windows", type=Path, default=Path("data/windows"), help="the folder with the cohort's")
    parser.add_argument("--encoder", action="append", default=[], metavar="NAME=FILE", help="a pretrained ECG encoder")
    parser.add_argument("--draws", type=int, default=3, help="untrained encoders")
    parser.add_argument("--seeds", type=int, default=3, help="sets of folds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    params = load_params(arguments.params)
    clips, study = all_windows(params, arguments.cohort, arguments.windows)
    people = clips.subjects[clips.clip_of]
    features, names = window_features(clips.eeg, clips.ecg)
    column = {name: features[:, place].astype(np.float64) for place, name in enumerate(names)}
    layers = {"patch embedding": 0} | {f"layer {layer}": layer for layer in range(1, params.encoders.eeg.layers + 1)}
    readings = Readings(study, range(arguments.seeds))
    beats = np.isfinite(features[:, -len(ECG_FEATURES) :]).all(axis=1) & clips.ecg_present.any(axis=1)
    by_channel = features[:, len(BANDS_HZ) : -len(ECG_FEATURES)].astype(np.float64)  # (w, C · bands)
    whole = np.isfinite(by_channel).all(axis=1)
    files = {title: Path(path) for title, _, path in (each.partition("=") for each in arguments.encoder)}
    of_ecg = {f"ECG: {quantity}": column[name][beats, None] for quantity, name in ECG_QUANTITIES.items()}
    of_eeg = {
        f"EEG: log {band} power, mean of channels": column[f"log_{band}_power"][whole, None] for band in BANDS_HZ
    } | {"EEG: log power of each channel and band": by_channel[whole]}
    for title, encoders in encoders_of(params, files, arguments.draws):
        for layer, number in layers.items():
            ecg, _ = embedded(encoders, clips, "ecg", number)
            readings.add(of_ecg, title, layer, ecg[beats], people[beats])
            if title == "untrained":  # nobody pretrained the EEG's
                eeg, channels = embedded(encoders, clips, "eeg", number)
                readings.add(of_eeg, title, layer, eeg[whole], people[whole])
                for channel in range(channels.shape[1] if encoders.choice.draw == 0 else 0):
                    powers = by_channel[whole, channel * len(BANDS_HZ) : (channel + 1) * len(BANDS_HZ)]
                    own = {"EEG: log power of each channel and band, from that channel's embedding": powers}
                    readings.add(own, title, layer, channels[whole, channel], people[whole])
            print(f"{title}, {layer}: done", flush=True)
    content: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = {}
    print("| read from the embedding of a window | encoder | layer | R², all windows | R², within people |")
    print("| :--- | :--- | :--- | ---: | ---: |")
    for (quantity, title, layer), row in readings.numbers():
        content.setdefault(quantity, {}).setdefault(title, {})[layer] = row
        cells = [f"{row[kind][0]:.2f} [{row[kind][1]:.2f}, {row[kind][2]:.2f}]" for kind in ("all", "within")]
        print(f"| {quantity} | {title} | {layer} | {cells[0]} | {cells[1]} |")
    print(f"{len(whole)} windows of {len(set(people.tolist()))} people, {int(beats.sum())} of them with heartbeats")
    print(json.dumps(content))


if __name__ == "__main__":
    main()
