"""TF-C and Time-LLM against their plain implementations, for `methods.py`: CPU time of a step, in turn.

- TF-C compares all rows of a batch with one another. Plain, as its authors do it: every pair by broadcasting, through
  an array (2N, 2N, width). Ours: one product of normalised rows.
- Time-LLM puts a prompt before each channel's patches. Plain: the prompt's tokens go through the language model at each
  step. Ours: the keys and values of a prompt, which never change, are computed once.

A step is a forward and a backward pass with the settings in force; weights stay as they are, so that both ways must
come to the same loss and gradient, which is checked. A round times both, the first of them alternately; ratios are of
rounds.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.resampled import RATE_HZ, ResampledWindows
from physiopipe.clips.series import ClipSeries
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.gpt2_source import Gpt2Source
from physiopipe.methods.tfc import TFCSettings
from physiopipe.methods.time_llm import TimeLLMSettings
from physiopipe.models import contrastive
from physiopipe.models.prompts import PromptCache, pad_prompts, prompt_beginning, prompt_statistics, prompt_texts
from physiopipe.models.time_llm import normalise
from physiopipe.params import Params

GOAL = 2.0  # times the plain rate
_AGREE = 1e-3  # of two losses, and of two gradients: their distance over the plain one's norm
_LEAST_S = 0.2  # that a side of a round is timed for


def plain_cosine_similarities(rows: Tensor, least_norm: float = 1e-8) -> Tensor:
    """Cosine of every pair of rows (N, C): (N, N), pair by pair."""
    return functional.cosine_similarity(rows[:, None], rows[None], dim=-1, eps=least_norm)


def in_turn(
    name: str, plain: Callable[[], Tensor], ours: Callable[[], Tensor], weights: Sequence[Tensor], rounds: int
) -> dict[str, Any]:
    """CPU seconds of a step of both, and their ratio in each round.

    Args:
        plain, ours: give their loss, and leave its gradient with `weights`; both must be the same.

    Raises:
        PhysiopipeError: they are not.
    """
    results = []
    for step in (plain, ours):  # both are warm then
        loss = step()
        results.append((loss[None], torch.cat([each.grad.flatten() for each in weights if each.grad is not None])))
    apart = max(float((mine - theirs).norm() / theirs.norm()) for theirs, mine in zip(*results, strict=True))
    if not apart <= _AGREE:
        raise PhysiopipeError(
            f"{name}: the plain way and ours differ by {apart:.1e} in loss or gradient: expected at most {_AGREE:g}."
        )
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    sides = [("plain", plain), ("ours", ours)]
    for number in range(rounds):
        for side, step in sides if number % 2 == 0 else sides[::-1]:
            steps, begun = 0, time.process_time()
            while time.process_time() - begun < _LEAST_S:
                step()
                steps += 1
            seconds[side].append((time.process_time() - begun) / steps)
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    return {
        "what": name,
        "plain_cpu_s": round(median(seconds["plain"]), 4),
        "ours_cpu_s": round(median(seconds["ours"]), 4),
        "ratio": round(median(ratios), 2),
        "rounds": [round(ratio, 2) for ratio in ratios],
        "apart": float(f"{apart:.1e}"),
    }


def tfc(params: Params, clips: ClipData, series: int, rounds: int, state: Path) -> list[dict[str, Any]]:
    """A step of TF-C's pretraining, and the similarities alone, both ways."""
    it = params.method["tfc"] if "tfc" in params.method else TFCSettings()
    cut = ClipSeries(ResampledWindows(state), round(it.segment_s * RATE_HZ), it.scaling)
    values = torch.from_numpy(cut.of(clips, cut.unit(clips)).values[:series])
    torch.manual_seed(0)
    network = it.network(values.shape[1], len(clips.tasks)).train()
    ours = contrastive.cosine_similarities
    rows = values[torch.randint(len(values), (2 * len(values),))].requires_grad_()

    def step_with(similarities: Callable[..., Tensor]) -> Callable[[], Tensor]:
        def step() -> Tensor:
            torch.manual_seed(1)
            network.zero_grad(set_to_none=True)
            contrastive.cosine_similarities = similarities
            try:
                loss = network.pretraining_loss(values)
            finally:
                contrastive.cosine_similarities = ours
            torch.autograd.backward(loss)
            return loss.detach()

        return step

    def alone(similarities: Callable[..., Tensor]) -> Callable[[], Tensor]:
        def step() -> Tensor:
            rows.grad = None
            loss = similarities(rows).square().sum()
            torch.autograd.backward(loss)
            return loss.detach()

        return step

    size = f"{len(values)} series of {values.shape[1]}"
    whole = step_with(plain_cosine_similarities), step_with(ours)
    table = alone(plain_cosine_similarities), alone(ours)
    return [
        in_turn(f"TF-C, pretraining step, {size}", *whole, list(network.parameters()), rounds),
        in_turn(f"TF-C, similarities alone, {size}", *table, [rows], rounds),
    ]


def time_llm(params: Params, clips: ClipData, windows: int, rounds: int, state: Path) -> dict[str, Any]:
    """A training step of Time-LLM with prompts passed at each step, and with their keys and values looked up."""
    it = params.method["time_llm"] if "time_llm" in params.method else TimeLLMSettings()
    few = clips.of_windows(torch.arange(len(clips.clip_of)).numpy() < windows)
    resampled = ResampledWindows(state)
    x = torch.cat([torch.from_numpy(resampled.of(few, each)) for each in ("eeg", "ecg")], dim=1)
    body, tokenizer = Gpt2Source(it.gpt2).loaded
    data = f"EEG of {few.eeg.shape[1]} channels and ECG of {few.ecg.shape[1]}, {few.eeg.shape[2]} s at {RATE_HZ} Hz."
    sentences = data, f"high or low {', '.join(few.tasks)}."
    statistics = prompt_statistics(normalise(x).windows.flatten(0, 1))
    tokens = tokenizer.encode(prompt_texts(statistics, *sentences, it.prompt_digits))
    torch.manual_seed(0)
    network = it.network(body, x.shape[1], x.shape[2], len(few.tasks)).train()
    labels = torch.arange(len(x))[:, None].expand(-1, len(few.tasks)).remainder(2).float()
    passed = pad_prompts(tokens, tokenizer.end)
    shared = len(tokenizer.encode([prompt_beginning(*sentences)])[0])
    cache, places = PromptCache(body, tokens, x.shape[1], shared_tokens=shared), torch.arange(len(x))
    begun = time.process_time()
    cache.precompute()
    once_s = time.process_time() - begun

    def step_with(prompts: Callable[[], Any]) -> Callable[[], Tensor]:
        def step() -> Tensor:
            torch.manual_seed(1)
            network.zero_grad(set_to_none=True)
            loss = functional.binary_cross_entropy_with_logits(network(x, prompts()), labels)
            torch.autograd.backward(loss)
            return loss.detach()

        return step

    size = f"{len(x)} windows of {x.shape[1]} channels, prompts of {passed.tokens.shape[1]} tokens"
    both = step_with(lambda: passed), step_with(lambda: cache[places])
    found = in_turn(f"Time-LLM, training step, {size}", *both, list(network.parameters()), rounds)
    with_prompts_s = found["ours_cpu_s"] + once_s / it.epochs
    return found | {
        "prompts_once_cpu_s": round(once_s, 4),
        "epochs": it.epochs,
        "ratio_with_prompts": round(found["plain_cpu_s"] / with_prompts_s, 2),
    }


def comparisons(params: Params, clips: ClipData, series: int, windows: int, rounds: int) -> list[dict[str, Any]]:
    """Ours against the plain way: TF-C's similarities, Time-LLM's prompts."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        few = clips.of_windows(torch.arange(len(clips.clip_of)).numpy() < max(series, windows))
        return [*tfc(params, few, series, rounds, state), time_llm(params, few, windows, rounds, state)]


def comparisons_table(found: list[dict[str, Any]]) -> str:
    """Comparisons as Markdown."""
    lines = [
        "| ours against the plain way | plain, CPU s | ours, CPU s | ratio (rounds) | apart |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for each in found:
        ratio = f"**{each['ratio']:.2f}** ({', '.join(f'{r:.2f}' for r in each['rounds'])})"
        if "ratio_with_prompts" in each:
            ratio += f"; prompts included, made once for {each['epochs']} epochs: {each['ratio_with_prompts']:.2f}"
        cells = (
            each["what"],
            f"{each['plain_cpu_s']:.4f}",
            f"{each['ours_cpu_s']:.4f}",
            ratio,
            f"{each['apart']:.0e}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    missed = [each["what"] for each in found if each["ratio"] < GOAL]
    return (
        "\n".join(lines)
        + f"\n\nGoal, {GOAL:g} times the plain rate: "
        + (f"missed by {'; '.join(missed)}." if missed else "met by all.")
    )
