"""Windows' indexes, training curves and rejects as the earlier stages write them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from made_up_predictions import make_params

from physiopipe.experiments.fit_cost import write_costs as write_costs_csv
from physiopipe.methods.registry import METHODS
from physiopipe.params import Params
from physiopipe.report.figures import make_figures
from physiopipe.report.page import Origin, write_report
from physiopipe.windows.part import QUALITY_FLAGS as FLAGS
from physiopipe.windows.part import index_schema, write_index
from physiopipe.windows.zarr_shards import ShardedWriter, write_group, write_vector

LABELS = ("valence", "arousal", "dominance")
RATES = (100, 200, 500, 1000)
DRAWN_RATES = (100, 1000)  # of which there are reconstructions: a figure each
FEW_FLAGS = ("amplitude", "mains")  # all that windows of the downstream cohort carry: a row of strips each
MOST_WINDOWS = 6  # of a record and rate, so that a study of whole windows is written in no time
CHANNELS = {
    ("challenge", "ecg"): ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"),
    ("dreamer", "eeg"): ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"),
    ("dreamer", "ecg"): ("II", "III"),
}
UNITS = {("challenge", "ecg"): "mV", ("dreamer", "eeg"): "uV", ("dreamer", "ecg"): "unspecified"}


ORIGIN = Origin(preset="demo", commit="0a1b2c3", date="2026-11-30", duration="7 minutes")


def draw(results: Path, windows: Path, params: Params | None = None) -> None:
    make_figures(results, results / "pretrain", windows, params or make_params(), "dreamer")


def write_page(results: Path, windows: Path, origin: Origin = ORIGIN) -> Path:
    return write_report(results, results / "pretrain", windows, make_params(), "dreamer", origin)


def write_windows(root: Path) -> None:
    generator = np.random.default_rng(11)
    rows = []
    lengths = {"georgia": (10,), "ptb": (30, 115), "st_petersburg_incart": (1800,), "ptb-xl": (10,)}
    for source, choices in lengths.items():
        for record in range(12):
            length = choices[record % len(choices)]
            for rate in RATES:
                window_s = 2000 / rate
                count = min(MOST_WINDOWS, max(1, round(length / window_s)))
                for i in range(count):
                    start = i * length / count
                    rows.append(
                        _row(
                            "challenge",
                            "ecg",
                            rate,
                            source,
                            f"{source}{record}",
                            start,
                            min(10, int((length - start) * rate / 200)),
                        )
                    )
    _write(root / "challenge", pd.DataFrame(rows), generator)
    rows = []
    ratings = {(s, c): generator.integers(1, 6, 3) for s in range(12) for c in range(18)}
    for modality in ("eeg", "ecg"):
        for (subject, clip), scores in ratings.items():
            length = 65 + 3 * clip
            for i in range(2):
                row = _row(
                    "dreamer",
                    modality,
                    200,
                    "dreamer",
                    f"s{subject + 1:02d}_c{clip + 1:02d}_{modality}",
                    length - 20 + 10 * i,
                    10,
                )
                row |= {"subject": f"s{subject + 1:02d}", "clip": clip + 1}
                row |= dict(zip(LABELS, map(float, scores), strict=True))
                rows.append(row)
    _write(root / "dreamer", pd.DataFrame(rows), generator)


def write_training(results: Path, seeds: tuple[int, ...] = (0, 1)) -> None:
    (results / "pretrain").mkdir(parents=True)
    (results / "finetune").mkdir()
    write_costs(results / "costs")
    rows = []
    for epoch in range(7):
        for split, extra in (("train", 1.0), ("held_out", 1.15)):
            for term in ("total", "patch", "channel"):
                value = extra * (0.2 + 30 * np.exp(-epoch)) * (1.1 if term == "channel" else 1)
                rows.append((epoch, 10 * epoch, split, None, None, term, value))
        for i, rate in enumerate(RATES):
            rows.append(
                (epoch, 10 * epoch, "held_out", rate, None, "total", (0.15 + 0.1 * i) * (1 + 30 * np.exp(-epoch)))
            )
        rows.append((epoch, 10 * epoch, "held_out", None, "georgia", "total", 0.3))
    columns = ["epoch", "step", "split", "rate_hz", "source", "term", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(results / "pretrain" / "loss.csv", index=False)
    terms = {"total": 0.31, "patch": 0.28, "channel": 0.34, "by_rate_hz": {"100": 0.3}, "by_source": {"georgia": 0.3}}
    baselines = {"zero": terms | {"total": 1.0}, "lead_mean": terms | {"total": 0.7123}}
    metrics = {"held_out": terms, "baselines": baselines, "train_windows": 4321, "steps": 60}
    (results / "pretrain" / "metrics.json").write_text(json.dumps(metrics))
    write_reconstructions(results / "pretrain" / "reconstructions.npz")
    header = ["method", "protocol", "seed", "fold", "epoch", "split", "loss", "auc"]
    for method in METHODS:
        points = [
            (method, "crossval", seed, fold, epoch, split, 2 / epoch + fold / 20 + (split != "train") / 3, 0.6)
            for seed in seeds for fold in range(5) for epoch in range(1, 11) for split in ("train", "validation")
            if method == "ours"
        ]  # fmt: skip
        pd.DataFrame(points, columns=header).to_csv(results / "finetune" / f"{method}.csv", index=False)


def write_costs(folder: Path) -> None:
    """Costs of two seeds and two folds of every method but one, Ours on a GPU."""
    for place, method in enumerate(name for name in METHODS if name != "chance"):
        on_gpu = method == "ours"
        fits = [
            {"method": method, "protocol": "crossval", "seed": seed, "fold": fold, "trained_parameters": 100 * place,
             "fit_cpu_s": 0.0004 * 10**place + fold, "fit_wall_s": 5.0 + fold, "kept_cpu_s": 2.0, "kept_wall_s": 1.0,
             "processor": "GPU" if on_gpu else "CPU", "device": "NVIDIA H200" if on_gpu else "made-up processor"}
            for seed in (0, 1) for fold in (0, 1)
        ]  # fmt: skip
        write_costs_csv(folder / f"{method}.csv", fits)


def write_reconstructions(path: Path) -> None:
    """A window of a rate: waves, hidden patches and a hidden lead, a missing lead, padding."""
    seconds = np.arange(2000) / np.array(DRAWN_RATES)[:, None, None]
    truth = (np.sin(2 * np.pi * seconds) * (1 + 0.1 * np.arange(12)[:, None])).reshape(2, 12, 10, 200)
    truth = truth.astype(np.float32)
    valid = np.ones((2, 12, 10), np.bool_)
    valid[0, :, 8:] = False
    valid[:, 3] = False
    truth[~valid] = 0
    replaced = valid & (np.arange(10) % 3 == 1)
    replaced[:, 5] = valid[:, 5]
    hidden = replaced[..., None]
    np.savez_compressed(
        path, truth=truth, encoder=0.8 * truth, interpolation=np.where(hidden, np.float32(0.1), truth),
        replaced=replaced, valid=valid, rate_hz=np.array(DRAWN_RATES), source=np.array(["georgia", "ptb-xl"]),
        leads=np.array(CHANNELS["challenge", "ecg"]), normalisation=np.array("lead_zscore"),
    )  # fmt: skip


def _row(
    cohort: str, modality: str, rate: int, source: str, record: str, start: float, patches: int
) -> dict[str, object]:
    return {
        "cohort": cohort, "modality": modality, "rate_hz": rate, "source": source, "record": record,
        "subject": record, "clip": 0, "start_s": start, "valid_patches": max(1, patches), "channel_mask": 0xFFF,
        "derived_mask": 0, "saturated": 0, "record_windows": 1, "part": f"{source}.g1",
        **dict.fromkeys(LABELS, np.nan),
    }  # fmt: skip


def _write(folder: Path, index: pd.DataFrame, generator: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    for i, flag in enumerate(FLAGS):
        carried = folder.name == "challenge" or flag in FEW_FLAGS
        index[flag] = carried & (generator.random(len(index)) < 0.02 * i)
    index["row"] = index.groupby(["modality", "rate_hz", "part"]).cumcount()
    index["record_flags"] = ""
    schema = index_schema(LABELS if folder.name == "dreamer" else ())
    write_index(folder / "index.parquet", pa.Table.from_pandas(index[schema.names], schema=schema))
    (folder / "rejected.csv").write_text(
        "record,reason\n" + ("E00271,\"12 leads, of 'mV'; <none> usable\"\n" if folder.name == "challenge" else "")
    )
    arrays = _write_arrays(folder, index)
    (folder / "manifest.json").write_text(json.dumps({"arrays": arrays, "parts": [], "versions": {"numpy": "2.3.5"}}))


def _write_arrays(folder: Path, index: pd.DataFrame) -> list[dict[str, str]]:
    """Windows behind the rows: every second a wave of 0.2 s on each lead, larger from lead to lead."""
    arrays = []
    for (modality, rate, part), rows in index.groupby(["modality", "rate_hz", "part"], sort=False):
        kind = (folder.name, modality)
        size = 1 + np.arange(len(CHANNELS[kind]))[:, None]
        seconds = np.arange(2000) / rate
        wave = np.where(seconds % 1 < 0.2, np.sin(10 * np.pi * seconds), 0)
        window = np.rint(100 * size * wave).astype(np.int16).reshape(len(size), 10, 200)
        path = folder / f"{modality}-{rate}hz" / f"part-{part}.zarr"
        path.mkdir(parents=True)
        writer = ShardedWriter(path / "windows", window.shape)
        for _ in range(len(rows)):
            writer.append(window[None])
        writer.close()
        write_vector(path / "scale", np.full(len(rows), 0.05 if modality == "eeg" else 0.001, np.float32))
        write_group(path, {"channels": list(CHANNELS[kind]), "rate_hz": int(rate), "unit": UNITS[kind]})
        arrays.append({"path": path.relative_to(folder).as_posix()})
    return arrays
