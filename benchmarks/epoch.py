"""An epoch of pretraining on a cohort's windows, estimated from timed steps of the training code itself.

Reading, masks, forward, backward and optimiser count; evaluation on held-out windows does not. With one thread the time
is CPU time. The first step is not timed.

    python benchmarks/epoch.py [--windows data/windows/challenge] [--params params.yaml] [--layers 12] [--steps 10]

Last line: JSON {"windows", "samples_per_s", "epoch_s", "threads"}.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from physiopipe.params import load_params
from physiopipe.training.feed import Feed
from physiopipe.training.group import Group
from physiopipe.training.step import Stepper
from physiopipe.windows.held_out import held_out_records
from physiopipe.windows.pretraining import epoch_order, load_windows, window_weights
from physiopipe.windows.store import WindowStore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=Path, default=Path("data/windows/challenge"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    params = load_params(arguments.params)
    settings = params.pretrain
    settings = settings.model_copy(update={"encoder": settings.encoder.model_copy(update={"layers": arguments.layers})})
    store = WindowStore(arguments.windows)
    rates = tuple(rate for rate, weight in settings.rate_weights.items() if weight > 0)
    rows = store.rows("ecg", rates)
    rows = rows[
        ~held_out_records(store.index["record"].to_numpy()[rows].tolist(), settings.held_out_share, settings.seed)
    ]
    order = epoch_order(window_weights(store.index.iloc[rows], settings.rate_weights), settings.seed, 0)
    size, device = settings.batch_size, torch.device("cpu")
    stepper = Stepper(settings, params.run, Group(0, 1, device))
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    timed = []
    with Feed(
        load_windows(store, rows), lambda step: order[step * size : (step + 1) * size], arguments.steps + 1,
        settings.normalisation, device,
    ) as feed:  # fmt: skip
        for step in range(arguments.steps + 1):
            start = clock()
            done = stepper(step, settings.learning_rate, feed.batch(step), False)
            assert bool(done.totals.isfinite().all())
            timed.append(clock() - start)
    speed = size / (sum(timed[1:]) / arguments.steps)
    print(f"{arguments.layers} layers, batch {size}: {arguments.steps} steps timed, {len(rows)} windows an epoch")
    print(
        json.dumps(
            {
                "windows": len(rows),
                "samples_per_s": round(speed, 2),
                "epoch_s": round(len(rows) / speed, 1),
                "threads": arguments.threads,
            }
        )
    )


if __name__ == "__main__":
    main()
