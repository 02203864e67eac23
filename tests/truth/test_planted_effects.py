"""What was planted is found, and nothing is found where nothing was planted: through the project's own signal path.

A simulated DREAMER.mat is unpacked, filtered, resampled, cut, stored and predicted from as a real one would be.
Tolerances: research on the simulation gives the mean of three labels' per-subject AUC a standard deviation of .028 over
null cohorts of the true size, so five cohorts stay within .05 of one half but once in many thousand times.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from physiopipe.methods.harness import run_method
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.params import MethodName, Params, SimulateDreamer
from physiopipe.params_file import preset_with
from physiopipe.recordings.batchfile import read_batch
from physiopipe.recordings.recording import Rejected
from physiopipe.recordings.simulate_dreamer import attainable_auc, simulate_dreamer
from physiopipe.results.predictions import read_predictions
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, resample_batch, unpack_dreamer
from physiopipe.windows.shard import shard_batch

PRESETS = Path(__file__).parents[2] / "presets"


def prepared(folder: Path, *assignments: str) -> tuple[Path, Params]:
    """Windows of a simulated cohort, and the parameters behind them."""
    params = preset_with(PRESETS, "demo", ["evaluate.seeds=[0]", *assignments])
    simulate_dreamer(folder / "DREAMER.mat", params.simulate.dreamer)
    raw = {modality: folder / f"{modality}.batch" for modality in ("eeg", "ecg")}
    unpack_dreamer(folder / "DREAMER.mat", params.data.dreamer, raw["eeg"], raw["ecg"])
    parts = []
    for modality, path in raw.items():
        steps = {name: getattr(getattr(params, name).dreamer, modality) for name in ("filter", "resample", "shard")}
        assert not any(isinstance(item, Rejected) for item in read_batch(path))
        filter_batch(read_batch(path), folder / "filtered.batch", steps["filter"])
        resample_batch(folder / "filtered.batch", folder / "resampled.batch", steps["resample"])
        parts.append(folder / "parts" / modality)
        shard_batch(
            folder / "resampled.batch",
            parts[-1],
            PartName("dreamer", modality, "dreamer", "test", True),
            steps["resample"].rates_hz,
            steps["shard"],
        )
    collect_cohort("dreamer", parts, folder / "windows", {})
    return folder / "windows", params


def subject_auc(folder: Path, method: MethodName, windows: Path, params: Params) -> float:
    """Mean over labels and test subjects (with both classes) of a method's AUC, by five-fold cross-validation."""
    encoder = folder / "ecg_encoder.safetensors"
    if not encoder.exists():
        save_encoder(encoder, CrissCrossEncoder(params.pretrain.encoder), {})
    params = params.model_copy(update={"run": params.run.model_copy(update={"state_folder": str(folder / "state")})})
    run_method(method, params, windows, encoder, folder / f"{method}.parquet", folder / "runs")
    frame, _ = read_predictions(folder / f"{method}.parquet")
    aucs = [
        {"label": label, "auc": roc_auc_score(rows["truth"], rows["probability"])}
        for (label, _), rows in frame.groupby(["label", "subject"])
        if rows["truth"].nunique() == 2
    ]
    return float(pd.DataFrame(aucs).groupby("label")["auc"].mean().mean())


def known_level(params: SimulateDreamer) -> float:
    """Best attainable per-subject AUC, mean of the labels."""
    return float(np.mean([of_subject for _, of_subject in attainable_auc(params).values()]))


def test_handcrafted_features_find_what_was_planted_in_a_small_cohort(tmp_path: Path) -> None:
    windows, params = prepared(tmp_path)
    found = subject_auc(tmp_path, "handcrafted", windows, params)
    assert found == pytest.approx(known_level(params.simulate.dreamer), abs=0.06)


TRUE_SIZE = ("simulate.dreamer.subjects=23", "simulate.dreamer.clips=18")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_handcrafted_features_come_near_the_attainable_at_true_size_and_ours_above_chance(tmp_path: Path) -> None:
    windows, params = prepared(tmp_path, *TRUE_SIZE)
    found = subject_auc(tmp_path, "handcrafted", windows, params)
    assert found == pytest.approx(known_level(params.simulate.dreamer), abs=0.06)
    assert subject_auc(tmp_path, "ours", windows, params) > 0.5 + 4 * 0.028


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_without_an_effect_every_row_is_at_chance(tmp_path: Path) -> None:
    methods: tuple[MethodName, ...] = ("handcrafted", "ours", "chance", "always_high")
    found: dict[str, list[float]] = {method: [] for method in methods}
    for seed in range(5):
        folder = tmp_path / str(seed)
        windows, params = prepared(folder, *TRUE_SIZE, "simulate.dreamer.effect_d=0", f"simulate.dreamer.seed={seed}")
        for method in methods:
            found[method].append(subject_auc(folder, method, windows, params))
    means = {method: float(np.mean(aucs)) for method, aucs in found.items()}
    assert all(abs(mean - 0.5) <= 0.05 for mean in means.values()), (means, found)
