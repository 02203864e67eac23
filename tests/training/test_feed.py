"""Every way of feeding gives the batches that reading them gives."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pretraining import PARAMS, run_in, waves

from physiopipe.params import Pretrain
from physiopipe.training.arrays import load_batch
from physiopipe.training.feed import Feed

CPU = torch.device("cpu")
STEPS = 9


def rows(step: int) -> np.ndarray:
    if step >= STEPS:
        raise AssertionError(f"step {step} was read ahead of the end")
    return np.random.default_rng(step).permutation(40)[: 7 if step < STEPS - 1 else 2]


@pytest.mark.parametrize("way", [{}, {"resident": True}, {"ahead": True}])
@pytest.mark.parametrize("first", [0, 6])
def test_batches_are_the_same(way: dict[str, bool], first: int) -> None:
    windows = waves(40, 3)
    before = threading.active_count()
    with Feed(windows, rows, STEPS, "lead_zscore", CPU, **way) as feed:
        for step in range(first, STEPS):
            expected = load_batch(windows, rows(step), "lead_zscore", CPU)
            for found, wanted in zip(feed.batch(step), expected, strict=True):
                assert torch.equal(found, wanted)
    assert threading.active_count() == before


def test_batches_are_read_before_they_are_asked_for() -> None:
    read: list[int] = []
    windows = waves(40, 3)

    def noted(step: int) -> np.ndarray:
        read.append(step)
        return rows(step)

    with Feed(windows, noted, STEPS, "lead_zscore", CPU, ahead=True) as feed:
        feed.batch(0)
        for _ in range(100):
            if read[-1] == 3:
                break
            threading.Event().wait(0.05)
    assert read == [0, 1, 2, 3]


def test_an_error_of_the_reading_thread_is_raised() -> None:
    with Feed(waves(40, 3), rows, STEPS + 1, "lead_zscore", CPU, ahead=True) as feed:
        feed.batch(STEPS - 1)
        with pytest.raises(AssertionError, match="read ahead of the end"):
            feed.batch(STEPS)


def test_bf16_learns_nearly_the_same(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"encoder": PARAMS.encoder.model_copy(update={"dropout": 0.0})})
    exact = run_in(tmp_path / "float32", params, save_every_s=1e9)["held_out"]["total"]
    half = run_in(tmp_path / "bf16", params.model_copy(update={"precision": "bf16"}), save_every_s=1e9)
    assert half["held_out"]["total"] != exact
    assert half["held_out"]["total"] == pytest.approx(exact, rel=0.03)
    assert Pretrain().precision == "float32"
