"""Studies that the tests of a whole run share."""

import os
from pathlib import Path

import pytest
from studies import Study, new_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A fresh study without any result."""
    return new_study(tmp_path / "study")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny preset, run to the end by `dvc repro` and committed. Tests leave params.yaml as they found it."""
    made = new_study(tmp_path_factory.mktemp("tiny") / "study")
    made.preset("tiny")
    made.run("dvc", "repro")
    made.commit()
    return made


@pytest.fixture
def sample_folder() -> Path:
    """The real recordings that PHYSIOPIPE_SAMPLE_DIR names; without it the test is skipped."""
    name = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not name:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set: it names the folder that holds challenge-2021/1.0.3 and others")
    return Path(name).resolve()
