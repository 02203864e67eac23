"""Self-supervised training of the ECG encoder (paper section 2.1): masked reconstruction, resumable bit for bit.

On one machine with the same versions and thread count, the same seed gives the same bytes, interrupted or not:
weights come from the seed; order, masks and dropout are functions of (seed, step).
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_json, write_json
from physiopipe.models.losses import PARTS, combine
from physiopipe.models.weights import save_encoder
from physiopipe.params import Pretrain, Run
from physiopipe.training.arrays import WindowArrays
from physiopipe.training.checkpoint import Checkpoint, Progress
from physiopipe.training.evaluation import WindowParts, baselines, by_group, nested, shared_encoder_parts
from physiopipe.training.examples import write_examples
from physiopipe.training.feed import Feed
from physiopipe.training.group import Group, join_group, processes_here
from physiopipe.training.interruption import Interruption, watch_signals
from physiopipe.training.live_log import LiveLog
from physiopipe.training.loss_log import LossLog
from physiopipe.training.progress import ProgressReport
from physiopipe.training.schedule import BatchOrder, Order, learning_rate
from physiopipe.training.step import Done, Stepper, check_finite

_UNCHECKED_ON_GPU = 16  # steps that a GPU may be ahead of what has been looked at


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

    Under torchrun every process calls this alike (see `physiopipe.training.launch`); rank 0 writes, and the others
    return an empty dict.
    """
    if not len(train) or not len(held_out):
        raise PhysiopipeError(
            f"{len(train)} training and {len(held_out)} held-out windows: pretraining needs some of both. "
            "Take more records, or change pretrain.held_out_share."
        )
    with join_group(run) as group, _torch_settings(run, group.device), watch_signals() as interruption:
        training = _Training(train, order, held_out, params, files, group, run, provenance)
        training.run(interruption, save_every_s)
        return training.finish(provenance)


class _Training:
    """One run: model, optimiser, data and where it is."""

    def __init__(
        self,
        train: WindowArrays,
        order: Order,
        held_out: WindowArrays,
        params: Pretrain,
        files: PretrainFiles,
        group: Group,
        run: Run,
        provenance: Mapping[str, str],
    ) -> None:
        self.train, self.held_out = train, held_out
        self.params, self.files, self.group, self.device = params, files, group, group.device
        self.order = BatchOrder(order, params.batch_size)
        self.steps_per_epoch = self.order.steps_per_epoch
        self.total = params.epochs * self.steps_per_epoch
        self.stepper = Stepper(params, run, group)
        self.encoder = self.stepper.encoder
        self.unchecked: list[Done] = []
        self.stopping = False
        identity = {
            "params": params.model_dump(mode="json"),
            "train": train.digest(),
            "held_out": held_out.digest(),
            "provenance": dict(provenance),
            "torch": torch.__version__,
        }
        self.checkpoint = Checkpoint(Path(run.state_folder) / "pretrain", sha256_json(identity))
        self.progress = self.checkpoint.load(self.encoder, self.stepper.optimizer) or Progress()
        self.log_folder = None
        if run.log_folder and group.first:
            self.log_folder = Path(run.log_folder) / self.checkpoint.path.parent.name
        group.check_same(self.progress.step, "the step to go on from")
        if group.first and (self.progress.step or self.progress.evaluated):
            print(f"pretrain: going on after step {self.progress.step} of {self.total}", flush=True)

    def run(self, interruption: Interruption, save_every_s: float) -> None:
        """Train to the last step; stop with the state saved where a signal asks for it."""
        check_every = _UNCHECKED_ON_GPU if self.device.type == "cuda" else 1
        saved = time.monotonic()
        with (
            ProgressReport("pretrain", self.total, self.progress.step, self.group.first) as report,
            LiveLog(self.log_folder, self.progress.step, self.progress.losses) as self.live_log,
            Feed(self.train, self._rows, self.total, self.params.normalisation, self.device) as feed,
        ):
            self.loss_log = LossLog(self.progress, self.live_log, self.params.objective, self.steps_per_epoch)
            while True:
                due = self.progress.step % self.steps_per_epoch == 0
                if due and self.progress.evaluated == self.progress.step // self.steps_per_epoch:
                    self._evaluate(interruption)
                if self.stopping:
                    self._stop(interruption)
                if self.progress.step == self.total:
                    return
                self._step(feed, interruption)
                if len(self.unchecked) == check_every or self.progress.step % self.steps_per_epoch == 0:
                    report.steps(self.progress.step, *self._check(interruption))
                    self._log_live(report)
                    if time.monotonic() - saved >= save_every_s:
                        self._save()
                        saved = time.monotonic()

    def finish(self, provenance: Mapping[str, str]) -> dict[str, Any]:
        """Write encoder, losses and metrics, and forget the state."""
        parts = self._held_out_parts()
        assert parts is not None  # nothing asked it to stop
        if not self.group.first:
            self.group.wait()
            return {}
        metrics = {
            "held_out": nested(parts, self.held_out, self.params),
            "baselines": baselines(self.held_out, self.params),
            "train_windows": len(self.train),
            "held_out_windows": len(self.held_out),
            "steps": self.total,
            "parameters": sum(p.numel() for p in self.encoder.parameters()),
        }
        self.loss_log.write(self.files.loss)
        write_json(self.files.metrics, metrics)
        write_examples(self.files.examples, self.encoder, self.held_out, self.params, self.device)
        save_encoder(self.files.encoder, self.encoder, self._metadata(provenance))
        self.checkpoint.remove()
        self.group.wait()
        return metrics

    def _rows(self, step: int) -> npt.NDArray[np.int64]:
        """This process's rows of a step's batch."""
        return self.order.rows(step)[self.group.rank :: self.group.size]

    def _step(self, feed: Feed, interruption: Interruption) -> None:
        step = self.progress.step
        batch = feed.batch(step)
        rate = learning_rate(step, self.total, self.params)
        whole = len(self.order.rows(step)) == self.params.batch_size
        with nullcontext() if whole else self._uncompiled():
            self.unchecked.append(self.stepper(step, rate, batch, interruption.signal is not None))
        self.progress.step += 1

    def _check(self, interruption: Interruption) -> tuple[int, float]:
        """Look at the steps since the last check, in order; return how many windows they had, and the last one's loss.

        A GPU is not waited for at every step. What comes of a step that is not finite is never saved.
        """
        totals = torch.stack([done.totals for done in self.unchecked]).cpu()
        for done, of_step in zip(self.unchecked, totals, strict=True):
            check_finite(done, of_step, self.group)
            self.loss_log.step(done.step, of_step[: 2 * len(PARTS)].tolist())
        self.stopping = bool(totals[:, 2 * len(PARTS)].any()) or (self.group.size == 1 and bool(interruption.signal))
        windows = sum(len(self.order.rows(done.step)) for done in self.unchecked)
        self.unchecked = []
        sums, counts = totals[-1, : 2 * len(PARTS)].chunk(2)
        return windows, float(combine(sums, counts, self.params.objective)[0])

    def _evaluate(self, interruption: Interruption) -> None:
        parts = self._held_out_parts(lambda: self.group.size == 1 and interruption.signal is not None)
        if parts is None:
            self.stopping = True  # done again when training goes on
            return
        for rate, source, terms in by_group(parts, self.held_out, self.params):
            self.loss_log.row(self.progress.evaluated, self.progress.step, "held_out", rate, source, terms)
        self.progress.evaluated += 1
        if self.group.first:
            self.loss_log.write(self.files.loss)

    def _held_out_parts(self, stop: Callable[[], bool] = lambda: False) -> WindowParts | None:
        with self._uncompiled():
            return shared_encoder_parts(self.encoder, self.held_out, self.params, self.group, stop)

    def _uncompiled(self) -> AbstractContextManager[Any]:
        """For batches of another size, and evaluation: not worth compiling the layers again."""
        return torch.compiler.set_stance("force_eager") if self.stepper.compiled else nullcontext()

    def _log_live(self, report: ProgressReport) -> None:
        step = self.progress.step
        values = {"loss": report.loss, "learning_rate": learning_rate(step - 1, self.total, self.params)}
        values |= {"samples_per_s": report.samples_per_s, "hours_left": report.left_s / 3600}
        self.live_log.live(step, values)

    def _save(self) -> None:
        if self.group.first:  # all processes have the same
            self.checkpoint.save(self.progress, self.encoder, self.stepper.optimizer)

    def _stop(self, interruption: Interruption) -> None:
        self._save()
        # what each was asked by; and none ends before all are here, since the first to end would end them all
        signals = self.group.gathered([str(interruption.signal or 0)])
        if self.group.first:
            print(
                f"Interrupted after step {self.progress.step} of {self.total}; the state is saved in "
                f"{self.checkpoint.path}. Run the same command again to go on from there.",
                flush=True,
            )
        raise SystemExit(128 + max(map(int, signals)))  # what a shell expects: 130 after Ctrl-C, 143 after SIGTERM

    def _metadata(self, provenance: Mapping[str, str]) -> dict[str, str]:
        rates = " ".join(f"{rate:g}" for rate in np.unique(self.train.rate_hz))
        return {
            **provenance,
            "architecture": "CBraMod (arXiv 2412.07236)",
            "encoder": json.dumps(self.params.encoder.model_dump(mode="json"), sort_keys=True),
            "normalisation": self.params.normalisation,
            "precision": self.params.precision,
            "parameters_sha256": sha256_json(self.params.model_dump(mode="json")),
            "rates_hz": rates,
            "sources": " ".join(str(name) for name in np.unique(self.train.source)),
            "steps": str(self.total),
            "train_windows": str(len(self.train)),
        }


@contextmanager
def _torch_settings(run: Run, device: torch.device) -> Iterator[None]:
    """Threads as `run.threads` says, and the caller's random state left alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(run.threads or max(1, len(os.sched_getaffinity(0)) // processes_here()))
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before)
