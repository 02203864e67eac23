"""Pretraining learns, logs what it says, and gives the same bytes however often it is killed."""

import csv
import dataclasses
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pretraining import PARAMS, SMALL, files_in, order, run_in, waves

from physiopipe.errors import PhysiopipeError
from physiopipe.models.losses import TERMS
from physiopipe.models.masking import draw_masks
from physiopipe.models.weights import load_encoder, read_metadata
from physiopipe.params import Masking, Pretrain
from physiopipe.signals.leads import CLINICAL_LEADS
from physiopipe.training.arrays import WindowArrays, load_batch
from physiopipe.training.evaluation import HELD_OUT_STEP, encoder_parts, nested
from physiopipe.training.examples import example_rows
from physiopipe.training.loss_log import LOSS_COLUMNS
from physiopipe.training.schedule import learning_rate

SCRIPT = Path(__file__).with_name("small_pretraining.py")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run went from start to end in this process, and saved itself at no time."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run_in(folder, save_every_s=1e9)
    return folder


def written(folder: Path) -> dict[str, bytes]:
    files = files_in(folder)
    return {path.name: path.read_bytes() for path in (files.encoder, files.loss, files.metrics, files.examples)}


def run_script(folder: Path, *disturbance: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, SCRIPT, folder, *map(str, disturbance)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_run_killed_at_any_step_ends_with_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(20)
    for batches in (4, 9, 8):  # of 30 in all
        done = run_script(tmp_path, int(signal.SIGKILL), batches, random.uniform(0, 0.01))
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not files_in(tmp_path).encoder.exists()
    done = run_script(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stdout
    assert written(tmp_path) == written(undisturbed)
    assert not list((tmp_path / "state").rglob("state.pt"))
    assert not list((tmp_path / "state").rglob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(undisturbed: Path, tmp_path: Path, number: int, code: int) -> None:
    done = run_script(tmp_path, int(number), 14, 0)
    assert done.returncode == code
    assert "Run the same command again" in done.stdout
    assert "Traceback" not in done.stderr
    again = run_script(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "going on after step" in again.stdout
    assert written(tmp_path) == written(undisturbed)


def test_saving_changes_no_bytes(undisturbed: Path, tmp_path: Path) -> None:
    run_in(tmp_path, save_every_s=0)
    assert written(tmp_path) == written(undisturbed)


def test_loss_log_and_metrics(undisturbed: Path) -> None:
    with files_in(undisturbed).loss.open() as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == LOSS_COLUMNS
    assert {row["term"] for row in rows} == set(TERMS)
    held_out = [row for row in rows if row["split"] == "held_out" and row["term"] == "total"]
    whole = [row for row in held_out if not row["rate_hz"] and not row["source"]]
    assert [(row["epoch"], row["step"]) for row in whole] == [("0", "0"), ("1", "10"), ("2", "20"), ("3", "30")]
    assert {row["rate_hz"] for row in held_out} == {"", "100", "200"}
    assert {row["source"] for row in held_out} == {"", "georgia", "ptb"}
    train = [row for row in rows if row["split"] == "train" and row["term"] == "total"]
    assert [int(row["step"]) for row in train] == list(range(1, 31))
    for row in rows:
        assert math.isfinite(float(row["value"]))

    metrics = json.loads(files_in(undisturbed).metrics.read_text())
    assert metrics["held_out"]["total"] == pytest.approx(float(whole[-1]["value"]), rel=1e-6)
    assert set(metrics["held_out"]["by_rate_hz"]) == {"100", "200"}
    assert set(metrics["held_out"]["by_source"]) == {"georgia", "ptb"}
    assert metrics["steps"] == 30
    for name in ("zero", "lead_mean", "interpolation"):
        assert 0 < metrics["baselines"][name]["total"] < 3
    assert metrics["baselines"]["zero"]["patch_masked"] == pytest.approx(1, abs=0.02)  # z-scored leads
    assert float(whole[0]["value"]) > float(whole[-1]["value"])


def test_the_written_encoder_is_the_evaluated_one(undisturbed: Path) -> None:
    files = files_in(undisturbed)
    encoder = load_encoder(files.encoder, SMALL)
    parts = encoder_parts(encoder, waves(30, 2), PARAMS, torch.device("cpu"))
    assert parts is not None
    metrics = json.loads(files.metrics.read_text())
    assert nested(parts, waves(30, 2), PARAMS)["total"] == pytest.approx(metrics["held_out"]["total"], rel=1e-5)
    metadata = read_metadata(files.encoder)
    assert metadata["leads"] == "a b c d"
    assert metadata["rates_hz"] == "100 200"
    assert metadata["normalisation"] == "lead_zscore"


def test_examples_are_held_out_windows_as_they_were_evaluated(undisturbed: Path) -> None:
    files, held_out = files_in(undisturbed), waves(30, 2)
    found = np.load(files.examples, allow_pickle=False)
    assert found["rate_hz"].tolist() == [100, 200]
    assert set(found["source"].tolist()) == {"georgia", "ptb"}  # another source where there is one
    assert str(found["normalisation"]) == "lead_zscore"
    rows = np.array(example_rows(held_out))
    assert (held_out.valid_patches[rows] == 4).all()
    batch = load_batch(held_out, rows, "lead_zscore", torch.device("cpu"))
    np.testing.assert_array_equal(found["truth"], batch.x)
    masks = draw_masks(PARAMS.masking, PARAMS.seed, HELD_OUT_STEP, batch.window_id, batch.valid)
    np.testing.assert_array_equal(found["replaced"], masks.replaced)
    encoder = load_encoder(files.encoder, SMALL).eval()
    with torch.no_grad():
        np.testing.assert_allclose(found["encoder"], encoder(batch.x, masks.replaced), atol=1e-5)
    seen = found["valid"] & ~found["replaced"]
    np.testing.assert_array_equal(found["interpolation"][seen], found["truth"][seen])
    shuffled = np.random.default_rng(0).permutation(30)
    parts = {f.name: getattr(held_out, f.name) for f in dataclasses.fields(held_out) if f.name != "leads"}
    other = WindowArrays(**{name: array[shuffled] for name, array in parts.items()})
    assert other.window_id[example_rows(other)].tolist() == held_out.window_id[rows].tolist()  # wherever they lie


@pytest.mark.parametrize(("ratio", "channel_ratio"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_masks_of_nothing_and_of_everything_train(tmp_path: Path, ratio: int, channel_ratio: int) -> None:
    masking = Masking(patch_ratio=ratio, channel_ratio=channel_ratio)
    metrics = run_in(tmp_path, PARAMS.model_copy(update={"epochs": 1, "masking": masking}), save_every_s=1e9)
    found = metrics["held_out"]
    assert math.isfinite(found["total"])
    assert found["total"] > 0
    if ratio or channel_ratio:
        assert found["patch_visible"] == 0  # an empty term
        assert found["patch_masked"] > 0
        assert metrics["baselines"]["interpolation"] == metrics["baselines"]["zero"]  # nothing to go by
    else:
        assert (found["patch_masked"], found["channel_masked"]) == (0, 0)
        assert found["total"] == pytest.approx(0.25 * found["channel_other"])
    assert (found["channel_other"] == 0) == (channel_ratio == 1)


def test_limb_identities_are_in_the_table_where_the_leads_are_known(undisturbed: Path, tmp_path: Path) -> None:
    assert "limb_identities" not in json.loads(files_in(undisturbed).metrics.read_text())["baselines"]
    held_out = dataclasses.replace(waves(30, 2, channels=8), leads=CLINICAL_LEADS[:8])
    one, two = held_out.samples[:, 0].astype(int) // 2 * 2, held_out.samples[:, 1].astype(int) // 2 * 2
    limbs = (one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2)
    held_out.samples[:, :6] = np.stack(limbs, axis=1)
    held_out.channel_mask[:] = True
    params = PARAMS.model_copy(update={"epochs": 1, "masking": Masking(patch_ratio=0, channel_ratio=0.25)})
    metrics = run_in(tmp_path, params, train=waves(75, 1, channels=8), held_out=held_out)
    baselines = metrics["baselines"]
    # two leads of eight are hidden whole: hidden limb leads are exact, hidden chest leads as with zero
    assert baselines["limb_identities"]["channel_other"] == 0
    assert 0 < baselines["limb_identities"]["channel_masked"] < 0.5 * baselines["zero"]["channel_masked"]
    assert baselines["limb_identities"]["by_rate_hz"].keys() == {"100", "200"}


def test_other_parameters_start_afresh(tmp_path: Path) -> None:
    """A state is found by what it belongs to: another learning rate neither goes on from it nor destroys it."""
    with pytest.raises(PhysiopipeError):  # stopped by a window that cannot be: infinite scale
        run_in(tmp_path, train=broken(waves(75, 1)))
    states = list((tmp_path / "state").rglob("state.pt"))
    run_in(tmp_path, PARAMS.model_copy(update={"epochs": 1}))
    assert list((tmp_path / "state").rglob("state.pt")) == states


def broken(windows: "object") -> "object":
    windows.scale[order(0)[45]] = np.inf  # type: ignore[attr-defined]
    return windows


def test_a_loss_that_is_not_finite_names_step_and_window(tmp_path: Path) -> None:
    windows = waves(75, 1)
    bad = order(0)[45]  # in the sixth step of eight windows
    windows.scale[bad] = np.inf
    with pytest.raises(PhysiopipeError, match="step 6") as raised:
        run_in(tmp_path, train=windows)
    assert f"{int(windows.window_id[bad]):016x}" in str(raised.value)
    assert f"{int(windows.window_id[order(0)[0]]):016x}" not in str(raised.value)


def test_a_state_that_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match="step 6"):
        run_in(tmp_path, train=broken(waves(75, 1)))
    (path,) = (tmp_path / "state").rglob("state.pt")
    path.write_bytes(b"something else")
    with pytest.raises(PhysiopipeError, match="delete it to start afresh"):
        run_in(tmp_path, train=broken(waves(75, 1)))


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match="held_out_share"):
        run_in(tmp_path, held_out=waves(0, 2))


def test_schedule() -> None:
    params = Pretrain(learning_rate=1.0, final_learning_rate=0.1, warmup_steps=4)
    rates = [learning_rate(step, 104, params) for step in range(104)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[54] == pytest.approx(0.55)
    assert all(a >= b for a, b in itertools.pairwise(rates[3:]))
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.slow
def test_learning_beats_zero_and_the_mean(tmp_path: Path) -> None:
    """Sines are easy: a model of one layer reconstructs hidden patches better than a constant."""
    params = PARAMS.model_copy(update={"epochs": 40, "masking": Masking(patch_ratio=0.3, channel_ratio=0)})
    metrics = run_in(tmp_path, params, save_every_s=1e9)
    ours = metrics["held_out"]["total"]
    assert ours < 0.9 * metrics["baselines"]["zero"]["total"]
    assert ours < 0.9 * metrics["baselines"]["lead_mean"]["total"]
