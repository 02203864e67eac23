"""The prompts of Time-LLM: what a row's text says, and its keys and values, computed once.

Source: Jin et al., ICLR 2024, arXiv 2310.01728; the wording is our own, for classification.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from physiopipe.models.gpt2_body import Body, KeysValues, keys_values

_LAGS = 5
_LONGEST = 2048  # tokens, the authors' limit


class PromptStatistics(NamedTuple):
    """What a prompt says of each row."""

    minimum: Tensor  # (rows,) float32
    maximum: Tensor
    median: Tensor  # of an even number of samples the lower of the two in the middle
    upward: Tensor  # (rows,) bool: the last sample is above the first
    lags: Tensor  # (rows, 5) int64: of the largest circular autocorrelation, largest first


def prompt_statistics(rows: Tensor) -> PromptStatistics:
    """Statistics of normalised rows (rows, samples), float32, at least 8 samples.

    As published, an odd number of samples is treated as one fewer for the lags (the length of the inverse transform).
    Lags l and length - l have equal autocorrelation: here the smaller comes first, not whichever rounding prefers.
    """
    spectrum = torch.fft.rfft(rows)
    correlation = torch.fft.irfft(spectrum * spectrum.conj())
    length = correlation.shape[-1]
    half = correlation[:, : length // 2 + 1].topk(_LAGS).indices
    mirrored = torch.stack((half, length - half), -1)
    alone = (half == 0) | (half == length // 2)
    order = torch.stack((torch.zeros_like(alone), alone), -1).flatten(1).to(torch.uint8).argsort(stable=True)
    lags = mirrored.flatten(1).gather(1, order)[:, :_LAGS]
    upward = rows[:, -1] > rows[:, 0]
    return PromptStatistics(rows.amin(1), rows.amax(1), rows.median(1).values, upward, lags)


def prompt_beginning(data: str, task: str) -> str:
    """What the prompts of all rows share: it comes first, so that its keys are kept once."""
    return f"<start>Data: {data} Task: {task} Statistics, in the order minimum, maximum, median, trend, strongest lags:"


def prompt_texts(statistics: PromptStatistics, data: str, task: str, digits: int | None = None) -> list[str]:
    """A prompt for each row: a sentence on the data, one on the task, and the row's statistics.

    digits: significant digits of the numbers; None, as published, prints every float32 in full (about 18 letters).
    """

    def number(value: float) -> str:
        return str(value) if digits is None else f"{value:.{digits}g}"

    beginning = prompt_beginning(data, task)
    return [
        f"{beginning} {number(low)}, {number(high)}, {number(middle)}, {'upward' if up else 'downward'}, {lags}<end>"
        for low, high, middle, up, lags in zip(*(part.tolist() for part in statistics), strict=True)
    ]


class PromptTokens(NamedTuple):
    """Tokens of each row's prompt, padded at the end."""

    tokens: Tensor  # (rows, longest) int64
    lengths: Tensor  # (rows,) int64


def pad_prompts(prompts: Sequence[Sequence[int]], end: int) -> PromptTokens:
    """Token ids of each row, padded with `end` to the longest, each cut at 2048 (the authors' limit)."""
    cut = [list(prompt[:_LONGEST]) for prompt in prompts]
    longest = max(map(len, cut))
    tokens = torch.tensor([prompt + [end] * (longest - len(prompt)) for prompt in cut], dtype=torch.int64)
    return PromptTokens(tokens, torch.tensor([len(prompt) for prompt in cut]))


class PromptCache:
    """Keys and values of the prompts of many windows under a frozen body, each computed once.

    The beginning that all prompts share is kept once; of the rest a row takes `row_bytes`: 8 bytes (float32 keys and
    values) times layers, width and the longest rest. Windows are kept up to `limit_bytes`, first come first; the
    others are computed anew, without gradients, each time they are asked for.

    A window's rows are computed together and without the other windows', so that what is kept of them is the same,
    bit for bit, whichever windows the cache has and in whatever order they are asked for.

    Args:
        body: as in TimeLLM; its parameters must not change, and it must stay the size it is.
        prompts: token ids of each row; window w has rows w rows_per_window and following, one for each channel.
        limit_bytes: the most memory for rows; more than they need is not taken.
        shared_tokens: at the beginning of every prompt, and the same in all; None: as many as are.
    """

    def __init__(
        self,
        body: Body,
        prompts: Sequence[Sequence[int]],
        rows_per_window: int,
        limit_bytes: int = 2 << 30,
        shared_tokens: int | None = None,
    ) -> None:
        if not prompts or len(prompts) % rows_per_window:
            raise ValueError(f"{len(prompts)} prompts, expected a multiple of the {rows_per_window} of a window")
        self._body, device = body, body.wte.weight.device
        cut = [list(prompt[:_LONGEST]) for prompt in prompts]
        common = _common_beginning(cut)
        if shared_tokens is not None:
            if shared_tokens > common:
                raise ValueError(f"{shared_tokens} tokens are said to be shared, and {common} are")
            common = shared_tokens
        beginning = torch.tensor([cut[0][:common]], dtype=torch.int64, device=device)
        self._shared = keys_values(body, beginning)[:, :, :, 0]
        tokens, lengths = (x.to(device) for x in pad_prompts([prompt[common:] for prompt in cut], 0))
        self._tokens = tokens.view(len(cut) // rows_per_window, rows_per_window, tokens.shape[1])
        self._lengths = lengths.view(-1, rows_per_window)
        layers, _, heads, _, size = self._shared.shape
        self.row_bytes = layers * 2 * heads * size * 4 * tokens.shape[1]
        room = min(len(self), limit_bytes // max(self.row_bytes * rows_per_window, 1))
        # zeros, not what memory holds: a softmax weight of 0 does not silence a NaN
        self._store = self._shared.new_zeros(layers, 2, heads, room, *self._tokens.shape[1:], size)
        self._slot = torch.full((len(self),), -1, device=device)  # of each window in the store
        self._used = 0

    def __len__(self) -> int:
        """Windows."""
        return len(self._tokens)

    @property
    def kept(self) -> int:
        """Windows whose keys and values are in memory."""
        return self._used

    def precompute(self) -> None:
        """Compute windows in their order until all are kept, or as many as the limit allows."""
        for window in torch.nonzero(self._slot < 0)[:, 0].tolist():
            if self._used == self._store.shape[3]:
                return
            self._keep(window)

    def __getitem__(self, windows: Tensor) -> KeysValues:
        """Keys and values of the rows of windows (B,), int64, in that order; new ones are kept where memory is left."""
        windows = windows.to(self._slot.device)
        for window in torch.unique(windows[self._slot[windows] < 0]).tolist():
            if self._used < self._store.shape[3]:
                self._keep(window)
        slots, lengths = self._slot[windows], self._lengths[windows].flatten()
        longest = int(lengths.max())
        if bool((slots >= 0).all()):
            own = self._store[..., :longest, :].index_select(3, slots)
        else:
            layers, _, heads, _, rows, _, size = self._store.shape
            own = self._store.new_zeros(layers, 2, heads, len(windows), rows, longest, size)
            for i, (window, slot) in enumerate(zip(windows.tolist(), slots.tolist(), strict=True)):
                found = self._compute(window) if slot < 0 else self._store[:, :, :, slot, :, :longest]
                own[:, :, :, i, :, : found.shape[4]] = found
        return KeysValues(self._shared, own.flatten(3, 4), lengths)

    def _keep(self, window: int) -> None:
        found = self._compute(window)
        self._store[:, :, :, self._used, :, : found.shape[4]] = found
        self._slot[window] = self._used
        self._used += 1

    def _compute(self, window: int) -> Tensor:
        """(layers, 2, heads, rows, tokens, size) of one window, tokens up to the longest of its rows."""
        longest = int(self._lengths[window].max())
        return keys_values(self._body, self._tokens[window, :, :longest], self._shared)


def _common_beginning(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens at the beginning that all prompts share: what the smallest and the largest share, in order of lists."""
    first, last = min(map(list, prompts)), max(map(list, prompts))
    pairs = zip(first, last, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(last)))
