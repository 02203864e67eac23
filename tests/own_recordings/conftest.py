"""A small encoder, and a simulated study with fitted models, made once."""

from pathlib import Path

import pytest
from lab_study import LabStudy, make_lab_study
from own_study import SmallStudy, make_small_study, write_encoder


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "ecg_encoder.safetensors")


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    return make_small_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabStudy:
    return make_lab_study(tmp_path_factory.mktemp("lab"))
