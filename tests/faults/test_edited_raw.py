"""A downloaded file that somebody edits: the run says so, and the next one has it fetched again."""

import os
from pathlib import Path

import pytest
from small_study import SNAKEMAKE, Undisturbed, check_like, copy_of

pytestmark = pytest.mark.workflow


def test_a_header_edited_at_the_same_size_and_time_is_fetched_again(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Its record is neither rejected nor read as it is now."""
    study = copy_of(undisturbed.study, tmp_path / "study", "data/plan", "data/simulated", "data/raw")
    header = sorted((study.folder / "data/raw").rglob("*.hea"))[0]
    before, published = header.stat(), header.read_text()
    edited = published.replace("/mV", "/uV", 1)
    assert len(edited) == len(published)
    assert edited != published
    header.write_text(edited)
    os.utime(header, ns=(before.st_atime_ns, before.st_mtime_ns))
    output = study.run(*SNAKEMAKE, expect=1)
    assert f"{header.relative_to(study.folder)} was removed or changed since it was downloaded" in output
    assert "Traceback" not in output
    study.run(*SNAKEMAKE)
    assert header.read_text() == published
    check_like(study, undisturbed.study)
