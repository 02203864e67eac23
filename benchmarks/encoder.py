"""Training steps of the encoder against CBraMod as its users run it (peer.py; braindecode's too where it imports).

Same sizes, weights, windows (12, 10, 200), masks, loss and optimiser (fused AdamW, for both), in one process, in turn:
each round times a few steps of every model, and the ratio is the median over rounds. Before that, with dropout 0 and
from equal weights, 20 steps of each must give losses equal to 1e-3. FLOP are those of matrix products and convolutions;
`mfu` is ours against the rate that matrix products of this machine reach, measured here in the precision of ours.

    python benchmarks/encoder.py [--threads 1] [--batch 16] [--rounds 9] [--layers 12] [--dropout 0.1]
    python benchmarks/encoder.py --device cuda --batch 1024 [--precision bf16] [--compile on]

On a GPU, ours runs in bf16 and compiled unless told otherwise, the peer eagerly in float32. Last line: JSON {"device",
"ours_samples_per_s", "peer_samples_per_s", "ratio", "mfu"}.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from peer import PeerEncoder
from torch import Tensor, nn

from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.losses import combine, part_sums, part_targets
from physiopipe.models.masking import Masks, draw_masks
from physiopipe.params import Encoder, Masking, Objective, Pretrain

RECIPE = Pretrain()
EQUAL_STEPS, EQUAL_BATCH, TOLERANCE = 20, 4, 1e-3
SHAPE = (12, 10, 200)
CORPUS_WINDOWS, PAPER_EPOCHS = 980_000, 40  # of 88,253 records at four rates: 47 GB, see docs/benchmarks.md

Step = Callable[[], Tensor]
Forward = Callable[[Tensor, Tensor], Tensor]


def training_step(
    model: nn.Module, batch: int, device: torch.device, bf16: bool, forward: Forward | None = None
) -> Step:
    """A function that does one step on fixed windows and masks and returns the loss, on the device."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *SHAPE, generator=generator).to(device)
    valid = torch.ones(batch, *SHAPE[:2], dtype=torch.bool, device=device)
    masks: Masks = draw_masks(Masking(), 0, 0, torch.arange(batch, device=device), valid)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RECIPE.learning_rate, weight_decay=RECIPE.weight_decay, fused=True)
    targets, objective, call = part_targets(masks, Objective()), Objective(), forward or model

    def step() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext():
            prediction = call(x, masks.replaced)
        sums, counts = part_sums(prediction, x, targets)
        loss = combine(sums.sum(-1), counts.sum(-1), objective)[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, RECIPE.clip_norm)
        optimizer.step()
        return loss.detach()

    return step


def pair(sizes: Encoder, device: torch.device) -> tuple[CrissCrossEncoder, PeerEncoder]:
    """Both models with the same weights, in training mode."""
    torch.manual_seed(0)
    ours, peer = CrissCrossEncoder(sizes).train(), PeerEncoder(sizes).train()
    peer.load_state_dict(ours.state_dict(), strict=True)
    return ours.to(device), peer.to(device)


def largest_difference(sizes: Encoder, device: torch.device) -> float:
    """Largest relative difference of the two losses over EQUAL_STEPS steps without dropout, float32."""
    models = pair(sizes.model_copy(update={"dropout": 0.0}), device)
    steps = [training_step(model, EQUAL_BATCH, device, False) for model in models]
    losses = [[step().item() for _ in range(EQUAL_STEPS)] for step in steps]
    return max(abs(a - b) / b for a, b in zip(*losses, strict=True))


def braindecode_model(sizes: Encoder, device: torch.device) -> nn.Module | str:
    """braindecode's CBraMod of these sizes, or why there is none."""
    try:
        from braindecode.models import CBraMod
    except Exception as error:  # not installed, or its torchaudio does not fit this torch
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    model: nn.Module = CBraMod(
        n_outputs=2, n_chans=SHAPE[0], n_times=SHAPE[1] * SHAPE[2], sfreq=200, n_layer=sizes.layers, nhead=sizes.heads,
        dim_feedforward=sizes.feedforward, drop_prob=sizes.dropout, return_encoder_output=True,
    ).to(device).train()  # fmt: skip
    return model


def seconds(step: Step, repeats: int, device: torch.device) -> float:
    """Time of one step, averaged over repeats, s; on one CPU thread CPU time, which neighbours steal less of."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    finish(device)
    start = clock()
    for _ in range(repeats):
        step()
    finish(device)
    return (clock() - start) / repeats


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of large and of the model's own shapes of matrix products, whichever is faster (median of 9 each)."""
    shapes = [(1920, 200, 800), (1920, 800, 200)] if device.type == "cpu" else [(8192, 8192, 8192), (16384, 4096, 4096)]
    rates = []
    for m, k, n in shapes:
        a, b = torch.randn(m, k, dtype=dtype, device=device), torch.randn(k, n, dtype=dtype, device=device)
        out = torch.empty(m, n, dtype=dtype, device=device)
        times = [seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), 3, device) for _ in range(10)][1:]
        rates.append(2 * m * k * n / statistics.median(times))
    return max(rates)


def flop_per_sample(sizes: Encoder) -> float:
    """FLOP of one window's training step: two a multiply-add of products and convolutions, three times the forward's.

    (torch's own counter takes a depth-wise convolution's weight gradient for a dense one.)
    """
    channels, patches, samples = SHAPE
    tokens, width, half, filters = channels * patches, sizes.width, sizes.width // 2, sizes.width // 8
    attention = 2 * (3 * half * half + half * half) + 2 * half * (channels + patches)  # scores and weighted values
    layer = attention + 2 * width * sizes.feedforward
    taps = sizes.position_kernel[0] * sizes.position_kernel[1]
    convolutions = 8 * filters * (49 + 2 * 3 * filters)
    embedding = convolutions + (samples // 2 + 1) * width + taps * width + width * samples  # and the output's layer
    return 3.0 * 2 * tokens * (sizes.layers * layer + embedding)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--batch", type=int, default=None, help="windows of a step (CPU 16, GPU 512)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=None, help="steps of a model in a round (CPU 1, GPU 20)")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="auto", help="of ours")
    parser.add_argument("--compile", choices=["auto", "on", "off"], default="auto", help="ours, one layer for all")
    arguments = parser.parse_args()
    cuda = arguments.device == "cuda" or (arguments.device == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if cuda else "cpu")
    torch.set_num_threads(arguments.threads)
    batch, repeats = arguments.batch or (512 if cuda else 16), arguments.steps or (20 if cuda else 1)
    bf16 = arguments.precision == "bf16" or (arguments.precision == "auto" and cuda)
    compiled = arguments.compile == "on" or (arguments.compile == "auto" and cuda)
    sizes = Encoder(layers=arguments.layers, dropout=arguments.dropout)
    name = torch.cuda.get_device_name() if cuda else f"{platform.machine()} CPU, {arguments.threads} thread(s)"

    difference = largest_difference(sizes, device)
    print(f"losses of {EQUAL_STEPS} steps without dropout differ by at most {difference:.1e} (relative)")
    if not difference < TOLERANCE:
        raise SystemExit(f"the two models do not compute the same: {difference:.1e} is not below {TOLERANCE:g}")

    ours, peer = pair(sizes, device)
    if compiled:
        start = time.perf_counter()
        ours.compile_layers()
        training_step(ours, batch, device, bf16)()
        finish(device)
        print(f"compiled one layer for all in {time.perf_counter() - start:.0f} s (first step included)")
    steps = {"ours": training_step(ours, batch, device, bf16), "peer": training_step(peer, batch, device, False)}
    other = braindecode_model(sizes, device)
    if isinstance(other, str):
        print(f"braindecode.models.CBraMod left out: {other}")
    else:
        steps["braindecode"] = training_step(other, batch, device, False, lambda x, mask: other(x.flatten(2), mask))
    for step in steps.values():
        seconds(step, 2, device)
    times: dict[str, list[float]] = {model: [] for model in steps}
    rates = []
    for _ in range(arguments.rounds):
        for model, step in steps.items():
            times[model].append(seconds(step, repeats, device))
        rates.append(matmul_rate(device, torch.bfloat16 if bf16 else torch.float32))

    flop, matmul = flop_per_sample(sizes), statistics.median(rates)
    speed = {model: batch / statistics.median(found) for model, found in times.items()}
    ratios = {
        model: [peer / ours for peer, ours in zip(found, times["ours"], strict=True)] for model, found in times.items()
    }
    for model in steps:
        share = speed[model] * flop / matmul
        spread = f"{min(ratios[model]):.2f} to {max(ratios[model]):.2f}"
        print(
            f"{model:12s} {speed[model]:9.1f} samples/s, {share:.2f} of the matmul rate; "
            f"ours is {statistics.median(ratios[model]):.2f} times as fast (rounds: {spread})"
        )
    print(f"{flop / 1e9:.2f} GFLOP a sample; matmul {matmul / 1e9:.0f} GFLOP/s; batch {batch}; {name}")
    hours = CORPUS_WINDOWS * PAPER_EPOCHS / speed["ours"] / 3600
    print(f"estimate: {PAPER_EPOCHS} epochs of the corpus's {CORPUS_WINDOWS:,} windows take {hours:.1f} h at this rate")
    print(
        json.dumps(
            {
                "device": name,
                "ours_samples_per_s": round(speed["ours"], 2),
                "peer_samples_per_s": round(speed["peer"], 2),
                "ratio": round(statistics.median(ratios["peer"]), 3),
                "mfu": round(speed["ours"] * flop / matmul, 3),
            }
        )
    )


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
