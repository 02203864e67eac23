"""The undisturbed study that every disturbed one is compared with."""

import time

import pytest
from small_study import SMALL, SNAKEMAKE, Undisturbed, check_like
from studies import new_study


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Run once to its end, from nothing. Tests copy it and leave it as it is."""
    study = new_study(tmp_path_factory.mktemp("undisturbed") / "study")
    study.preset("tiny", SMALL)
    study.commit()
    begin = time.monotonic()
    study.run(*SNAKEMAKE)
    seconds = time.monotonic() - begin
    check_like(study, study)
    return Undisturbed(study, seconds)
