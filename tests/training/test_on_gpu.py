"""What runs on a GPU, held to what the CPU computes: `pytest tests/training/test_on_gpu.py -rA` on a machine with one.

Without a GPU the same tests run on the CPU, so that they cannot rot; they then show nothing about a GPU.
"""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import SHAPES, case_name, formula_encoder, formula_input, formula_mask, masked_loss_and_gradients
from small_pretraining import PARAMS, Device, files_in, run_in, waves

from physiopipe.models.masking import draw_masks
from physiopipe.models.normalisation import valid_patch_mask
from physiopipe.params import Masking
from physiopipe.training.arrays import load_batch
from physiopipe.training.feed import Feed

DEVICE: Device = "cuda" if torch.cuda.is_available() else "cpu"
SCRIPT = Path(__file__).with_name("small_pretraining.py")
GOLDEN = json.loads((Path(__file__).parents[1] / "models" / "golden.json").read_text())
NO_DROPOUT = PARAMS.model_copy(update={"encoder": PARAMS.encoder.model_copy(update={"dropout": 0.0})})


CASES = SHAPES if DEVICE == "cuda" else SHAPES[-1:]  # on the CPU test_encoder_golden.py has them all


@pytest.mark.parametrize(("layers", "shape"), CASES, ids=[case_name(*case) for case in CASES])
def test_the_encoder_gives_the_authors_numbers(layers: int, shape: tuple[int, ...]) -> None:
    golden = GOLDEN["cases"][case_name(layers, shape)]
    encoder = formula_encoder(layers).to(DEVICE)
    found, loss, norms = masked_loss_and_gradients(
        encoder, formula_input(shape).to(DEVICE), formula_mask(shape).to(DEVICE)
    )
    output = found.cpu().numpy().ravel()
    at = np.linspace(0, output.size - 1, GOLDEN["positions"]).astype(int)
    np.testing.assert_allclose(output[at], golden["output_masked"], rtol=0, atol=1e-4)
    assert loss == pytest.approx(golden["masked_mse"], abs=1e-5)
    assert norms == pytest.approx(golden["grad_norms"], rel=1e-3, abs=1e-7)


def test_masks_are_the_cpus() -> None:
    generator = torch.Generator().manual_seed(3)
    identity = torch.randint(-(2**63), 2**63 - 1, (200,), generator=generator)
    valid = valid_patch_mask(torch.rand(200, 12, generator=generator) < 0.9, torch.arange(200) % 11, 10)
    masking = Masking(patch_ratio=0.4, channel_ratio=0.3)
    expected = draw_masks(masking, 5, 77, identity, valid)
    found = draw_masks(masking, 5, 77, identity.to(DEVICE), valid.to(DEVICE))
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == DEVICE
        assert torch.equal(one.cpu(), other)


@pytest.mark.parametrize("way", [{}, {"resident": True}, {"resident": False, "ahead": True}, {"resident": False}])
def test_every_feed_gives_the_batches_of_the_cpu(way: dict[str, bool]) -> None:
    """Windows on the device (where they fit, as these do), read ahead into pinned memory, or read when asked for."""
    windows, device = waves(40, 3), torch.device(DEVICE)
    rows = [np.random.default_rng(step).permutation(40)[:7] for step in range(9)]
    with Feed(windows, rows.__getitem__, len(rows), "lead_zscore", device, **way) as feed:
        for step, chosen in enumerate(rows):
            expected = load_batch(windows, chosen, "lead_zscore", torch.device("cpu"))
            for found, wanted in zip(feed.batch(step), expected, strict=True):
                assert found.device.type == DEVICE
                torch.testing.assert_close(found.cpu(), wanted)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bf16", 0.03)])
def test_pretraining_ends_where_it_does_on_the_cpu(tmp_path: Path, precision: str, tolerance: float) -> None:
    """On a GPU with one compiled layer, fused AdamW and losses looked at every few steps."""
    exact = run_in(tmp_path / "cpu", NO_DROPOUT, save_every_s=1e9)["held_out"]
    params = NO_DROPOUT.model_copy(update={"precision": precision})
    found = run_in(tmp_path / "device", params, save_every_s=1e9, device=DEVICE)["held_out"]
    assert found["total"] == pytest.approx(exact["total"], rel=tolerance)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_script(whole).check_returncode()
    assert run_script(killed, int(signal.SIGKILL), 14, 0).returncode == -signal.SIGKILL
    done = run_script(killed)
    assert "going on after step" in done.stdout, done.stderr
    assert losses(killed) == pytest.approx(losses(whole), rel=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() == 1, reason="one GPU: NCCL needs two")
def test_several_gpus_have_the_losses_of_one(tmp_path: Path) -> None:
    processes = max(2, torch.cuda.device_count())
    run_script(tmp_path / "one", DROPOUT="0").check_returncode()
    run_script(tmp_path / "several", DROPOUT="0", PROCESSES=str(processes)).check_returncode()
    assert losses(tmp_path / "several") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def run_script(folder: Path, *disturbance: object, **settings: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, SCRIPT, folder, *map(str, disturbance)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DEVICE": DEVICE, **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def losses(folder: Path) -> list[float]:
    with files_in(folder).loss.open() as handle:
        return [float(row["value"]) for row in csv.DictReader(handle)]
