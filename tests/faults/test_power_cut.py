"""A file between rules that a power cut has cut short: one run names and removes it, the next makes it anew."""

import shutil
from pathlib import Path

import pytest
from small_study import SNAKEMAKE, Undisturbed, check_like, simulated_copy

pytestmark = pytest.mark.workflow


def test_a_batch_that_is_cut_short_is_made_again(undisturbed: Undisturbed, tmp_path: Path) -> None:
    study = simulated_copy(undisturbed.study, tmp_path / "study")
    study.run(*SNAKEMAKE, "--notemp")
    for made in ("parts", "windows"):
        shutil.rmtree(study.folder / "data" / made)
    resampled = sorted((study.folder / "data/work/resampled").rglob("*.batch"))
    assert len(resampled) == 2
    for path, share in zip(resampled, (0.0, 0.7), strict=True):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    output = study.run(*SNAKEMAKE, "--keep-going", expect=1)
    assert output.count("It is removed: run again") >= 2, output[-3000:]
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)
