"""EEGMAT's files, simulated and real, for the cohorts that read them."""

import os
from pathlib import Path

import pytest

from physiopipe.cohorts.eegmat import SimulateEegmat
from physiopipe.cohorts.eegmat_simulation import simulate_eegmat


@pytest.fixture(scope="session")
def eegmat_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five simulated people, 25 s at rest and 20 s of arithmetic."""
    root = tmp_path_factory.mktemp("eegmat") / "tree"
    simulate_eegmat(root / "SHA256SUMS.txt", SimulateEegmat(subjects=5, rest_s=25, arithmetic_s=20, seed=3))
    return root


@pytest.fixture(scope="session")
def real_eegmat() -> Path:
    """The published recordings, as far as they are here."""
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    return Path(sample) / "eegmat" / "1.0.0"
