"""A small study for ablations: its parameters, and one ablation of it run."""

from pathlib import Path

import numpy as np
from made_cohort import study_of
from small_methods import SIZES

from physiopipe.experiments.ablations import run_ablation
from physiopipe.experiments.predictions import read_predictions
from physiopipe.params import Params, check_params


def parameters(tmp_path: Path, **ablations: object) -> Params:
    content = {
        "pretrain": {"encoder": SIZES, "epochs": 2, "batch_size": 8, "held_out_share": 0.2,
                     "rate_weights": {200: 1.0, 500: 1.0}},
        "encoders": {"eeg": SIZES, "eeg_weights": {"origin": "none"}},
        "method": {
            "ours": {"hidden": 16, "epochs": 1}, "brant_x_style": {"align_epochs": 2, "epochs": 1, "hidden": 16},
        },
        "evaluate": {"protocol": "paper", "seeds": [0]},
        "ablations": ablations,
        "run": {"state_folder": str(tmp_path / "state"), "log_folder": "", "device": "cpu", "threads": 1},
    }  # fmt: skip
    return check_params(content, "test")


def run(world: Path, tmp_path: Path, name: str, **ablations: object) -> tuple[np.ndarray, dict[str, object]]:
    out = tmp_path / f"{name}.parquet"
    params = parameters(tmp_path, **ablations)
    run_ablation(name, study_of("ours", params, world / "windows", world / "ecg_encoder.safetensors"), out)
    frame, about = read_predictions(out)
    assert set(frame["method"]) == {name}
    return frame["probability"].to_numpy(), about
