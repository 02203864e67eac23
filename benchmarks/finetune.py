"""Fine-tuning at the true cohort's size, and the statistics of the whole table.

1. Ours with frozen encoders of the paper's size (12 layers each, untrained: speed does not depend on weights): every
   fold of `crossval` and five seeds, from stored windows to predictions, embeddings included, nothing kept before; in
   as many processes as `--threads` where there are enough folds for them.
2. What training the encoders along would cost: floating-point operations of one step, counted, times all steps; the
   rate at which this machine does them, measured; the time that makes, an ESTIMATE.
3. The bootstrap of a whole table: ten rows of five seeds, 10,000 resamples of the subjects.

The cohort is simulated: 23 subjects, 18 clips, the last 60 s of each.

    python benchmarks/finetune.py [--seeds 5] [--threads 2] [--resamples 10000] [--steps 3]

Last line: JSON with wall and CPU seconds of each.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from physiopipe.clips.embeddings import encoder_inputs
from physiopipe.clips.selection import load_clips
from physiopipe.cohorts.dreamer_simulation import simulate_dreamer
from physiopipe.cohorts.registry import cohort
from physiopipe.experiments.cross_validation import Study, run_method
from physiopipe.experiments.subject_splits import subject_split
from physiopipe.files import sha256_file
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import Fusion, LabelHeads, TwoEncoders
from physiopipe.models.weights import save_encoder
from physiopipe.params import Params, check_params
from physiopipe.recordings.batchfile import SUFFIX, read_batch
from physiopipe.results.intervals import SeedPredictions, estimate, resample_subjects
from physiopipe.results.p_values import permutation_p_values
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, resample_batch, unpack_file
from physiopipe.windows.shard import shard_batch

TABLE_ROWS = 10
TASKS = ("valence", "arousal", "dominance")


def parameters(scratch: Path, seeds: int, threads: int) -> Params:
    """The paper's sizes and recipe on a simulated cohort of the true size, without EEG weights."""
    return check_params(
        {
            "data": {"dreamer": {"origin": "simulated"}},
            "encoders": {"eeg_weights": {"origin": "none"}},
            "methods": ["ours"],
            "evaluate": {"protocol": "crossval", "seeds": list(range(seeds))},
            "run": {"threads": threads, "state_folder": str(scratch / "state")},
        },
        "benchmark",
    )


def windows_of(scratch: Path, params: Params) -> Path:
    """The folder of the cohort's windows, made by the project's own steps."""
    name, known = "dreamer", cohort("dreamer")
    simulate_dreamer(scratch / "DREAMER.mat", params.simulate[name])
    unpack_file(
        known,
        scratch / "DREAMER.mat",
        sha256_file(scratch / "DREAMER.mat"),
        params.data[name],
        True,
        scratch / "unpacked.json",
    )
    parts = []
    for modality in known.modalities:
        filter_batch(read_batch(scratch / f"{modality}{SUFFIX}"), scratch / "filtered", params.filter[name][modality])
        resample_batch(scratch / "filtered", scratch / "resampled", params.resample[name][modality])
        parts.append(scratch / "parts" / modality)
        part = PartName(name, modality, name, "benchmark", True, known.task_names)
        shard_batch(scratch / "resampled", parts[-1], part, (200,), params.shard[name][modality])
    collect_cohort(name, parts, scratch / "windows" / name, {})
    return scratch / "windows"


@contextmanager
def timed():
    """Wall and CPU seconds of what is done inside, in this process and those it started."""
    spent = SimpleNamespace(wall_s=0.0, cpu_s=0.0)
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    yield spent
    spent.wall_s, spent.cpu_s = time.perf_counter() - wall, sum(os.times()[:4]) - cpu


def frozen(scratch: Path, windows: Path, params: Params) -> dict[str, float]:
    """All folds and seeds of Ours, embeddings included; then again with the embeddings kept."""
    encoder = scratch / "ecg_encoder.safetensors"
    torch.manual_seed(0)
    save_encoder(encoder, CrissCrossEncoder(params.pretrain.encoder), {})
    found: dict[str, float] = {}
    study = Study("ours", params, "dreamer", windows, encoder, scratch / "state")
    for name in ("frozen", "frozen_embeddings_kept"):
        shutil.rmtree(study.state_folder / "finetune", ignore_errors=True)
        with timed() as spent:
            run_method(study, scratch / f"{name}.parquet")
        found |= {f"{name}_wall_s": round(spent.wall_s, 1), f"{name}_cpu_s": round(spent.cpu_s, 1)}
    return found


def fine_tuned(windows: Path, params: Params, steps: int) -> dict[str, float]:
    """Operations of training everything, and how long this machine would take: counted and measured, then estimated."""
    study = Study("ours", params, "dreamer", windows, None, windows)
    clips = load_clips(windows / study.cohort, study.rule.last_s, study.high_from)
    settings = params.method["ours"]
    names = sorted(set(clips.subjects))
    per_subject = {name: int((clips.subjects[clips.clip_of] == name).sum()) for name in names}
    trained = validated = 0
    for seed in params.evaluate.seeds:
        for fold in subject_split(names, "crossval", seed):
            trained += settings.epochs * sum(per_subject[name] for name in fold.train)
            validated += settings.epochs * sum(per_subject[name] for name in fold.validation)
    torch.manual_seed(0)
    eeg, ecg = params.encoders.eeg, params.pretrain.encoder
    encoders = TwoEncoders(CrissCrossEncoder(eeg), CrissCrossEncoder(ecg), settings.pooling)
    model = Fusion(encoders, LabelHeads((200, 200), settings.hidden, settings.dropout)).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    batch = settings.batch_size
    inputs = tuple(part[:batch] for part in encoder_inputs(clips.of_subjects(names[:1]), params.encoders.eeg_scale_uv))
    labels = torch.ones(batch, 3)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.binary_cross_entropy_with_logits(model(*inputs), labels).backward()
        optimiser.step()

    with FlopCounterMode(display=False) as both:
        step()
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model(*inputs)
    with timed() as spent:
        for _ in range(steps):
            step()
    total = (both.get_total_flops() * trained + forward.get_total_flops() * validated) / batch
    rate = both.get_total_flops() * steps / spent.wall_s
    return {
        "fine_tuned_gflop_per_window": round(both.get_total_flops() / batch / 1e9, 2),
        "fine_tuned_windows": trained,
        "fine_tuned_total_pflop": round(total / 1e15, 3),
        "measured_gflop_per_s": round(rate / 1e9, 1),
        "fine_tuned_here_hours_ESTIMATE": round(total / rate / 3600, 1),
        "tflop_per_s_for_10_minutes": round(total / 600 / 1e12, 2),
    }


def bootstrap(resamples: int) -> dict[str, float]:
    """Intervals and p-values of a whole table: TABLE_ROWS methods, five seeds, 23 × 18 clips."""
    random = np.random.default_rng(0)
    truth = random.random((414, 3)) < 0.65
    rows = np.arange(414)
    methods = [
        [
            SeedPredictions(rows // 18, rows, truth, np.clip(random.random((414, 3)) + 0.2 * truth, 0, 1),
                            np.full((414, 3), 0.5))
            for _ in range(5)
        ]
        for _ in range(TABLE_ROWS)
    ]  # fmt: skip
    with timed() as spent:
        weights = resample_subjects(23, resamples, 0)
        for seeds in methods:
            estimate(seeds, weights, 0.95, TASKS)
    with timed() as permuted:
        permutation_p_values(methods, resamples, 0, TASKS)
    return {
        "bootstrap_wall_s": round(spent.wall_s, 2),
        "bootstrap_cpu_s": round(spent.cpu_s, 2),
        "permutations_wall_s": round(permuted.wall_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=3, help="timed steps of training everything")
    parser.add_argument("--only", choices=("frozen", "fine_tuned", "bootstrap"), help="one part alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, float] = {"threads": arguments.threads, "seeds": arguments.seeds}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        params = parameters(scratch, arguments.seeds, arguments.threads)
        if arguments.only != "bootstrap":
            windows = windows_of(scratch, params)
        if arguments.only in (None, "frozen"):
            found |= frozen(scratch, windows, params)
        if arguments.only in (None, "fine_tuned"):
            found |= fine_tuned(windows, params, arguments.steps)
        if arguments.only in (None, "bootstrap"):
            found |= bootstrap(arguments.resamples)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
