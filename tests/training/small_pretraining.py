"""A pretraining of seconds on waves of known shape; run as a script by the tests that kill it."""

import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Encoder, Pretrain, Run
from physiopipe.training.arrays import WindowArrays
from physiopipe.training.launch import launch, rank_if_launched, report_to_launcher
from physiopipe.training.pretrain import PretrainFiles, pretrain

Device = Literal["cpu", "cuda"]
SMALL = Encoder(layers=1, width=40, feedforward=80, heads=4, position_kernel=(3, 3))
PARAMS = Pretrain(encoder=SMALL, epochs=3, batch_size=8, warmup_steps=4, learning_rate=3e-3)


def waves(count: int, seed: int, channels: int = 4, patches: int = 4) -> WindowArrays:
    """Sums of two sines, a different phase in each channel; some padding, some missing channels."""
    random = np.random.default_rng(seed)
    t = np.arange(patches * 200) / 200
    frequency, phase = random.uniform(0.5, 3, (count, 1, 1)), random.uniform(0, 6, (count, channels, 1))
    signal = np.sin(2 * np.pi * frequency * t + phase) + 0.3 * np.sin(4 * np.pi * frequency * t + 2 * phase)
    samples = (signal * 1000).astype(np.int16).reshape(count, channels, patches, 200)
    valid = random.integers(patches - 1, patches + 1, count)
    present = random.random((count, channels)) < 0.9
    present[:, 0] = True
    samples[np.arange(patches) >= valid[:, None, None] * np.ones((1, channels, 1))] = 0
    samples[~present] = 0
    return WindowArrays(
        samples=samples,
        scale=np.full(count, 0.001, np.float32),
        valid_patches=valid.astype(np.int16),
        channel_mask=present,
        rate_hz=random.choice([100, 200], count),
        window_id=random.integers(0, 2**64, count, dtype=np.uint64),
        source=random.choice(np.array(["georgia", "ptb"]), count),
    )


def order(epoch: int) -> np.ndarray:
    return np.random.default_rng([7, epoch]).permutation(75)  # 10 steps an epoch, the last one short


def files_in(folder: Path) -> PretrainFiles:
    names = ("encoder.safetensors", "loss.csv", "metrics.json", "reconstructions.npz")
    return PretrainFiles(*(folder / name for name in names))


def run_in(
    folder: Path, params: Pretrain = PARAMS, save_every_s: float = 0.0, device: Device = "cpu", **changes: Any
) -> dict[str, Any]:
    run = Run(threads=1, device=device, state_folder=str(folder / "state"), log_folder=str(folder / "logs"))
    arguments = {"train": waves(75, 1), "order": order, "held_out": waves(30, 2), "provenance": {"leads": "a b c d"}}
    arguments.update(changes)
    return pretrain(params=params, run=run, files=files_in(folder), save_every_s=save_every_s, **arguments)


class SignalledSamples(np.ndarray):
    """Samples that send a process a signal, `delay_s` after the batch numbered `batches` has been read."""

    number, batches, delay_s, process = signal.SIGKILL, 0, 0.0, 0

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, np.ndarray):
            SignalledSamples.batches -= 1
            if SignalledSamples.batches == 0:
                threading.Timer(self.delay_s, os.kill, (self.process, self.number)).start()
        return np.asarray(self)[rows]


def main() -> None:
    """Arguments: folder, and where the run is to be disturbed: signal, batches, delay in seconds.

    In the environment, PROCESSES: how many to start; DISTURBED: which of them is; PARENT: the signal is for the one
    that started them; DROPOUT and BATCH: parameters; BROKEN: a window whose scale is infinite; DEVICE: cuda or cpu.
    """
    folder, *disturbance = sys.argv[1:]
    if "PROCESSES" in os.environ and rank_if_launched() is None:
        launch(int(os.environ["PROCESSES"]), sys.argv)
        return
    train = waves(75, 1)
    if "BROKEN" in os.environ:
        train.scale[int(os.environ["BROKEN"])] = np.inf
    if disturbance and os.environ.get("DISTURBED") in (None, os.environ.get("RANK")):
        SignalledSamples.number = signal.Signals(int(disturbance[0]))
        SignalledSamples.batches, SignalledSamples.delay_s = int(disturbance[1]), float(disturbance[2])
        SignalledSamples.process = os.getppid() if "PARENT" in os.environ else os.getpid()
        train = dataclasses.replace(train, samples=train.samples.view(SignalledSamples))
    encoder = SMALL.model_copy(update={"dropout": float(os.environ.get("DROPOUT", SMALL.dropout))})
    batch = int(os.environ.get("BATCH", PARAMS.batch_size))
    params = PARAMS.model_copy(update={"encoder": encoder, "batch_size": batch})
    device: Device = "cuda" if os.environ.get("DEVICE") == "cuda" else "cpu"
    run_in(Path(folder), params, device=device, train=train)


if __name__ == "__main__":
    try:
        main()
    except PhysiopipeError as error:
        if not report_to_launcher(error):
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
