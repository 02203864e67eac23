"""Self-supervised training of the ECG encoder (paper section 2.1): masked reconstruction, resumable bit for bit.

On one machine with the same versions and thread count, the same seed gives the same bytes, interrupted or not:
weights come from the seed; order, masks and dropout are functions of (seed, step).
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, sha256_json, write_json
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.losses import TERMS, combine, named_terms, part_sums, part_targets
from physiopipe.models.masking import draw_masks
from physiopipe.models.weights import save_encoder
from physiopipe.params import Pretrain, Run
from physiopipe.training.arrays import Batch, WindowArrays, load_batch
from physiopipe.training.checkpoint import Checkpoint, Progress
from physiopipe.training.evaluation import baseline_names, baseline_parts, by_group, encoder_parts, nested
from physiopipe.training.examples import write_examples
from physiopipe.training.interruption import Interruption, watch_signals
from physiopipe.training.progress import ProgressReport

LOSS_COLUMNS = ("epoch", "step", "split", "rate_hz", "source", "term", "value")
ROWS_PER_EPOCH = 10  # rows of training loss; each is over all windows since the last

Order = Callable[[int], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class PretrainFiles:
    """Where pretraining writes; all appear whole."""

    encoder: Path  # models/ecg_encoder.safetensors
    loss: Path  # results/pretrain/loss.csv
    metrics: Path  # results/pretrain/metrics.json
    examples: Path  # results/pretrain/reconstructions.npz


def pretrain(
    train: WindowArrays,
    order: Order,
    held_out: WindowArrays,
    params: Pretrain,
    run: Run,
    files: PretrainFiles,
    provenance: Mapping[str, str],
    save_every_s: float = 60.0,
) -> dict[str, Any]:
    """Train an encoder, write it with its loss log and metrics, and return the metrics.

    Args:
        train: windows to learn from.
        order: epoch (from 0) → rows of `train` in the order of that epoch; as many in every epoch.
        held_out: windows of other records, evaluated before training and after each epoch on masks that stay.
        provenance: text for the encoder's metadata (leads, data and its digest, licence, …); part of the run's name.
        save_every_s: least time between two saved states, s; 0: after every step.

    Raises:
        PhysiopipeError: a loss that is not finite, with the step and the windows; no windows.
        SystemExit: 130 or 143 (128 + signal) after SIGINT, SIGTERM or SIGUSR1, the state saved.
    """
    if not len(train) or not len(held_out):
        raise PhysiopipeError(
            f"{len(train)} training and {len(held_out)} held-out windows: pretraining needs some of both. "
            "Take more records, or change pretrain.held_out_share."
        )
    with _torch_settings(run), watch_signals() as interruption:
        device = choose_device(run)
        training = _Training(train, order, held_out, params, files, device, run, provenance)
        training.run(interruption, save_every_s)
        return training.finish(provenance)


def choose_device(run: Run) -> torch.device:
    """The device that `run.device` names; auto: an NVIDIA GPU where there is one."""
    if run.device == "cuda" and not torch.cuda.is_available():
        raise PhysiopipeError("run.device is cuda, and no NVIDIA GPU is usable here: set it to auto or cpu.")
    return torch.device("cuda" if run.device != "cpu" and torch.cuda.is_available() else "cpu")


def learning_rate(step: int, total: int, params: Pretrain) -> float:
    """Rate of a step (from 0): linear warm-up, then a cosine to final_learning_rate."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    share = (step - params.warmup_steps) / max(1, total - params.warmup_steps)
    low, high = params.final_learning_rate, params.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


class _Training:
    """One run: model, optimiser, data and where it is."""

    def __init__(
        self,
        train: WindowArrays,
        order: Order,
        held_out: WindowArrays,
        params: Pretrain,
        files: PretrainFiles,
        device: torch.device,
        run: Run,
        provenance: Mapping[str, str],
    ) -> None:
        self.train, self.order, self.held_out = train, order, held_out
        self.params, self.files, self.device = params, files, device
        self.rows = order(0)
        self.rows_epoch = 0
        self.steps_per_epoch = -(-len(self.rows) // params.batch_size)
        self.total = params.epochs * self.steps_per_epoch
        torch.manual_seed(params.seed)
        self.encoder = CrissCrossEncoder(params.encoder).to(device).train()
        self.trained = [p for p in self.encoder.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        identity = {
            "params": params.model_dump(mode="json"),
            "train": train.digest(),
            "held_out": held_out.digest(),
            "provenance": dict(provenance),
            "torch": torch.__version__,
        }
        self.checkpoint = Checkpoint(Path(run.state_folder) / "pretrain", sha256_json(identity))
        self.progress = self.checkpoint.load(self.encoder, self.optimizer) or Progress()
        if self.progress.step or self.progress.evaluated:
            print(f"pretrain: going on after step {self.progress.step} of {self.total}", flush=True)

    def run(self, interruption: Interruption, save_every_s: float) -> None:
        """Train to the last step; stop with the state saved where a signal asks for it."""
        report = ProgressReport("pretrain", self.total, self.progress.step)
        saved = time.monotonic()
        try:
            while True:
                due = self.progress.step % self.steps_per_epoch == 0
                if due and self.progress.evaluated == self.progress.step // self.steps_per_epoch:
                    self._evaluate(interruption)
                if interruption.signal:
                    self._stop(interruption)
                if self.progress.step == self.total:
                    return
                loss, windows = self._step()
                report.step(self.progress.step, windows, loss)
                if time.monotonic() - saved >= save_every_s:
                    self._save()
                    saved = time.monotonic()
        finally:
            report.close()

    def finish(self, provenance: Mapping[str, str]) -> dict[str, Any]:
        """Write encoder, losses and metrics, and forget the state."""
        parts = encoder_parts(self.encoder, self.held_out, self.params, self.device)
        assert parts is not None
        baselines = {
            name: nested(baseline_parts(name, self.held_out, self.params), self.held_out, self.params)
            for name in baseline_names(self.held_out)
        }
        metrics = {
            "held_out": nested(parts, self.held_out, self.params),
            "baselines": baselines,
            "train_windows": len(self.train),
            "held_out_windows": len(self.held_out),
            "steps": self.total,
            "parameters": sum(p.numel() for p in self.encoder.parameters()),
        }
        write_loss_csv(self.files.loss, self.progress.losses)
        write_json(self.files.metrics, metrics)
        write_examples(self.files.examples, self.encoder, self.held_out, self.params, self.device)
        save_encoder(self.files.encoder, self.encoder, self._metadata(provenance))
        self.checkpoint.remove()
        return metrics

    def _step(self) -> tuple[float, int]:
        step, params = self.progress.step, self.params
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self.rows_epoch:
            self.rows, self.rows_epoch = self.order(epoch), epoch
        rows = self.rows[index * params.batch_size : (index + 1) * params.batch_size]
        batch = load_batch(self.train, rows, params.normalisation, self.device)
        masks = draw_masks(params.masking, params.seed, step, batch.window_id, batch.valid)
        torch.manual_seed(_mixed_seed(params.seed, step))  # dropout: a function of the step, not of what came before
        prediction = self.encoder(batch.x, masks.replaced)
        sums, counts = part_sums(prediction, batch.x, part_targets(masks, params.objective))
        loss = combine(sums.sum(-1), counts.sum(-1), params.objective)[0]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.total, params)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.trained, params.clip_norm)
        value = loss.item()
        if not math.isfinite(value) or not math.isfinite(norm.item()):
            raise _not_finite(step, value, batch, sums)
        self.optimizer.step()
        self.progress.step += 1
        new = torch.cat((sums.detach().double().sum(-1), counts.double().sum(-1))).tolist()
        self.progress.pending = [a + b for a, b in zip(self.progress.pending, new, strict=True)]
        every = max(1, self.steps_per_epoch // ROWS_PER_EPOCH)
        if (index + 1) % every == 0 or index + 1 == self.steps_per_epoch:
            self._log_training(epoch + 1)
        return value, len(rows)

    def _log_training(self, epoch: int) -> None:
        sums, counts = torch.tensor(self.progress.pending, dtype=torch.float64).chunk(2)
        self._log(epoch, "train", "", "", named_terms(combine(sums, counts, self.params.objective)))
        self.progress.pending = Progress().pending

    def _evaluate(self, interruption: Interruption) -> None:
        parts = encoder_parts(
            self.encoder, self.held_out, self.params, self.device, lambda: interruption.signal is not None
        )
        if parts is None:
            return  # asked to stop: done again when training goes on
        for rate, source, terms in by_group(parts, self.held_out, self.params):
            self._log(self.progress.evaluated, "held_out", rate, source, terms)
        self.progress.evaluated += 1
        write_loss_csv(self.files.loss, self.progress.losses)

    def _log(self, epoch: int, split: str, rate: str, source: str, terms: Mapping[str, float]) -> None:
        for term in TERMS:
            self.progress.losses.append([epoch, self.progress.step, split, rate, source, term, f"{terms[term]:.7g}"])

    def _save(self) -> None:
        self.checkpoint.save(self.progress, self.encoder, self.optimizer)

    def _stop(self, interruption: Interruption) -> None:
        self._save()
        print(
            f"Interrupted after step {self.progress.step} of {self.total}; the state is saved in "
            f"{self.checkpoint.path}. Run the same command again to go on from there.",
            flush=True,
        )
        raise SystemExit(interruption.exit_code)

    def _metadata(self, provenance: Mapping[str, str]) -> dict[str, str]:
        rates = " ".join(f"{rate:g}" for rate in np.unique(self.train.rate_hz))
        return {
            **provenance,
            "architecture": "CBraMod (arXiv 2412.07236)",
            "encoder": json.dumps(self.params.encoder.model_dump(mode="json"), sort_keys=True),
            "normalisation": self.params.normalisation,
            "parameters_sha256": sha256_json(self.params.model_dump(mode="json")),
            "rates_hz": rates,
            "sources": " ".join(str(name) for name in np.unique(self.train.source)),
            "steps": str(self.total),
            "train_windows": str(len(self.train)),
        }


def write_loss_csv(path: Path, rows: list[list[Any]]) -> None:
    """Write the loss log, LOSS_COLUMNS; an empty rate_hz or source means all of them."""
    lines = [",".join(map(str, row)) for row in ([list(LOSS_COLUMNS), *rows])]
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _not_finite(step: int, value: float, batch: Batch, sums: Tensor) -> PhysiopipeError:
    bad = ~sums.isfinite().all(0)
    ids = [f"{i & (2**64 - 1):016x}" for i in (batch.window_id[bad] if bad.any() else batch.window_id).tolist()]
    what = "windows whose reconstruction is not finite" if bad.any() else "windows of the batch"
    return PhysiopipeError(
        f"Pretraining stopped at step {step + 1}: loss {value:g} or its gradient is not finite. "
        f"{what.capitalize()} (window_id): {' '.join(ids)}. Lower pretrain.learning_rate, add warmup_steps, or look at "
        "these windows; the state saved before is kept."
    )


def _mixed_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def _torch_settings(run: Run) -> Iterator[None]:
    """Threads as `run.threads` says, and the caller's random state left alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(run.threads or len(os.sched_getaffinity(0)))
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(before)
