"""Memory of a training step against its batch, and what fits on a GPU of 80 GB.

Measured: what autograd keeps of a window for the backward pass (every tensor that is saved, each once), on this CPU,
in float32 as training on a CPU keeps it, and in the operations and precision of a GPU (bf16 autocast, nothing
written out by hand); and the peak resident memory of whole processes, each doing three steps of one batch.
Computed: the batch that 80 GB hold, with weights, gradients, AdamW's two moments, and a tenth left to the allocator.

    python benchmarks/encoder_memory.py [--batches 1 4 16 64] [--layers 12]
"""

import argparse
import resource
import subprocess
import sys

import torch
from encoder import SHAPE, training_step
from torch import Tensor

from physiopipe.models import cpu_kernels
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder

GPU_BYTES = 80e9
SPARE = 0.1
PROBE = 4  # windows


def saved_bytes(encoder: CrissCrossEncoder, bf16: bool) -> float:
    """Bytes a window that the backward pass needs, weights and input apart."""
    kept: dict[int, int] = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x, mask = torch.randn(PROBE, *SHAPE), torch.rand(PROBE, *SHAPE[:2]) < 0.5
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        loss = encoder(x, mask).float().square().mean()
    copies = sum(p.numel() * 2 for p in encoder.parameters()) if bf16 else 0  # autocast's copies of the weights
    loss.backward()
    return (sum(kept.values()) - copies) / PROBE


def peak_mib(batch: int, layers: int) -> float:
    """Peak resident memory of a process that does three steps, MiB."""
    command = [sys.executable, __file__, "--one", str(batch), "--layers", str(layers)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = CrissCrossEncoder(Encoder(layers=arguments.layers)).train()
    if arguments.one is not None:
        step = training_step(encoder, arguments.one, torch.device("cpu"), False)
        for _ in range(3):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    weights = sum(p.numel() for p in encoder.parameters())
    on_cpu = saved_bytes(encoder, bf16=False)
    cpu_kernels.fits = lambda x: False  # noqa: ARG005 - the operations that a GPU does
    plain, half = saved_bytes(encoder, bf16=False), saved_bytes(encoder, bf16=True)
    print(f"kept for the backward pass, MB a window: {on_cpu / 1e6:.1f} on a CPU; as a GPU does it "
          f"{plain / 1e6:.1f} in float32, {half / 1e6:.1f} in bf16 (measured on the CPU)")  # fmt: skip
    peaks = {batch: peak_mib(batch, arguments.layers) for batch in arguments.batches}
    for batch, peak in peaks.items():
        print(f"batch {batch:4d}: peak memory of a process {peak:8.0f} MiB")
    first, *_, last = peaks
    each = (peaks[last] - peaks[first]) / (last - first) * 2**20
    over = each / on_cpu
    print(f"that is {each / 1e6:.1f} MB a window more: {over:.2f} times what is kept")
    fixed = weights * 4 * 5  # weights, gradients, two moments, and once more what the optimiser may hold at a time
    for name, kept in (("float32", plain), ("bf16", half)):
        most = (GPU_BYTES * (1 - SPARE) - fixed) / kept
        print(
            f"largest batch on {GPU_BYTES / 1e9:.0f} GB, {name}: about {most / over:.0f} windows "
            f"(computed, with as much above what is kept as here; {most:.0f} with none)"
        )


if __name__ == "__main__":
    main()
