"""Pretraining on the shared real records: does the encoder beat reconstructions without learning on held-out records?

An encoder of few layers is trained by the `pretrain` stage's own code on every window of the sample's records, a share
of the records (never windows) held out, and its loss on these is set beside what needs no learning: zero, the lead's
mean, linear interpolation, and the limb leads' identities. It must beat the first three.

    python benchmarks/reconstruction.py [--minutes 60] [--threads 2] [--layers 2] [--output models/reconstruction]

The number of epochs is chosen from the time of a few steps, so that training takes about `--minutes`; `--epochs` sets
it instead. The folder `--output` receives the encoder, its losses and metrics, and the state of a run that was
interrupted: the same `--epochs` go on from there.

Last line: JSON {"device", "minutes", "steps", "held_out", "zero", "lead_mean", "interpolation", "limb_identities",
"beats_first_three"}; the exit code is 1 where it does not.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import pandas as pd
import torch
from loader import RATES_HZ, build_store
from records import benchmark_tree

from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.losses import TERMS, combine, part_sums, part_targets
from physiopipe.models.masking import draw_masks
from physiopipe.params import Encoder, Pretrain, Run, check_params
from physiopipe.training.arrays import load_batch
from physiopipe.training.device import choose_device
from physiopipe.training.pretrain import PretrainFiles
from physiopipe.windows.pretraining import load_windows, pretrain_on_store
from physiopipe.windows.store import WindowStore

MUST_BEAT = ("zero", "lead_mean", "interpolation")
EVALUATED_AS = 0.4  # cost of a window without gradients, as a share of one with


def settings(arguments: argparse.Namespace, epochs: int) -> Pretrain:
    """Small batches and a high rate: with so few windows it is the number of steps that counts."""
    return Pretrain(
        encoder=Encoder(layers=arguments.layers, dropout=0.0),
        epochs=epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        final_learning_rate=arguments.learning_rate / 100,
        warmup_steps=arguments.warmup_steps,
        held_out_share=0.15,
    )


def seconds_of_a_window(store: WindowStore, params: Pretrain, device: torch.device, threads: int) -> float:
    """Time of one window's share of a training step, s; the median of twelve steps."""
    windows = load_windows(store, store.rows("ecg", RATES_HZ)[: 12 * params.batch_size])
    torch.set_num_threads(threads)
    encoder = CrissCrossEncoder(params.encoder).to(device)
    optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], fused=True)
    spent = []
    for start in range(0, len(windows), params.batch_size):
        began = time.perf_counter()
        rows = np.arange(start, min(start + params.batch_size, len(windows)))
        batch = load_batch(windows, rows, params.normalisation, device)
        masks = draw_masks(params.masking, 0, start, batch.window_id, batch.valid)
        sums, counts = part_sums(encoder(batch.x, masks.replaced), batch.x, part_targets(masks, params.objective))
        optimizer.zero_grad()
        combine(sums.sum(-1), counts.sum(-1), params.objective)[0].backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        spent.append((time.perf_counter() - began) / len(rows))
    return float(np.median(spent))


def print_curve(loss: pd.DataFrame) -> None:
    """Held-out loss of about a dozen epochs."""
    held_out = loss[(loss["split"] == "held_out") & loss["rate_hz"].isna() & loss["source"].isna()]
    table = held_out.pivot(index="epoch", columns="term", values="value")[list(TERMS)]
    shown = np.unique(np.linspace(0, len(table) - 1, 12).round().astype(int))
    print(f"\nHeld-out loss by epoch ({held_out['step'].max()} steps in all):")
    print(table.iloc[shown].to_string(float_format="{:.4f}".format))


def print_table(metrics: dict[str, dict[str, float]]) -> None:
    """Encoder and reconstructions without learning: terms, and totals by rate."""
    rows = {"trained encoder": metrics["held_out"], **metrics["baselines"]}
    terms = pd.DataFrame({name: {term: row[term] for term in TERMS} for name, row in rows.items()}).T
    rates = pd.DataFrame({name: row["by_rate_hz"] for name, row in rows.items()}).T[[str(rate) for rate in RATES_HZ]]
    print(f"\n{metrics['held_out_windows']} held-out windows:")
    print(terms.join(rates.add_suffix(" Hz")).to_string(float_format="{:.4f}".format))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="about how long to train")
    parser.add_argument("--epochs", type=int, help="passes over the training windows, instead of --minutes")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--warmup-steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("models/reconstruction"))
    arguments = parser.parse_args()
    run = Run(threads=arguments.threads, state_folder=str(arguments.output / "state"))
    device = choose_device(run)
    with tempfile.TemporaryDirectory() as folder:
        tree, what = benchmark_tree(Path(folder))
        store = build_store(tree, Path(folder), 1, 1000)
        epochs = arguments.epochs
        if epochs is None:
            params = settings(arguments, 1)
            windows = len(store.index) * (1 - params.held_out_share * (1 - EVALUATED_AS))
            epoch_s = windows * seconds_of_a_window(store, params, device, arguments.threads)
            epochs = max(1, round(60 * arguments.minutes / epoch_s))
        params = settings(arguments, epochs)
        print(
            f"{len(store.index)} windows, {what}; {epochs} epochs of an encoder of {arguments.layers} layers",
            flush=True,
        )
        results = arguments.output
        names = ("encoder.safetensors", "loss.csv", "metrics.json", "reconstructions.npz")
        files = PretrainFiles(*(results / name for name in names))
        began = time.perf_counter()
        whole = check_params({}, "defaults", with_methods=False).model_copy(update={"pretrain": params, "run": run})
        pretrain_on_store(store.folder, whole, files)
        minutes = (time.perf_counter() - began) / 60
    metrics = json.loads(files.metrics.read_text())
    print_curve(pd.read_csv(files.loss))
    print_table(metrics)
    totals = {name: row["total"] for name, row in metrics["baselines"].items()}
    beats = all(metrics["held_out"]["total"] < totals[name] for name in MUST_BEAT)
    summary = {
        "device": device.type,
        "minutes": round(minutes, 1),
        "steps": metrics["steps"],
        "held_out": round(metrics["held_out"]["total"], 4),
        **{name: round(total, 4) for name, total in totals.items()},
        "beats_first_three": beats,
    }
    print(json.dumps(summary))
    sys.exit(0 if beats else 1)


if __name__ == "__main__":
    main()
