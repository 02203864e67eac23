"""What several files about experiments look at, made once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both cohorts, and the study's encoder pretrained on one of them."""
    from ablation_study import parameters
    from made_cohort import store_challenge, store_cohort
    from planted_clips import planted_clips

    from physiopipe.training.pretrain import PretrainFiles
    from physiopipe.windows.pretraining import pretrain_on_store

    root = tmp_path_factory.mktemp("world")
    store_cohort(root, planted_clips(subjects=10, clips=4, windows=1, patches=10))
    store_challenge(root)
    params = parameters(root)
    names = ("ecg_encoder.safetensors", "loss.csv", "metrics.json", "reconstructions.npz")
    files = PretrainFiles(*(root / name for name in names))
    pretrain_on_store(root / "windows" / "challenge", params, files)
    return root
