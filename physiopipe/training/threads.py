"""Work of one thread each: the same bytes however many cores there are, and no thread that waits for another."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from physiopipe.models.fusion import in_blocks


@contextmanager
def one_thread() -> Iterator[int]:
    """Let torch work with one thread meanwhile; yields how many it has otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def in_threads(compute: Callable[..., Tensor], inputs: tuple[Tensor, ...], block: int, device: torch.device) -> Tensor:
    """What `in_blocks` gives, on a CPU by as many threads as torch has, each with blocks of its own."""
    if device.type != "cpu":
        return in_blocks(compute, inputs, block, device)
    parts = list(zip(*(torch.split(each, block) for each in inputs), strict=True))
    with one_thread() as threads, ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return torch.cat(list(pool.map(lambda part: in_blocks(compute, part, block, device), parts)))
