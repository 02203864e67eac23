"""The same workflow on a real SLURM of two nodes gives the same bytes as on one machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_cluster
from studies import new_study

from physiopipe.files import sha256_file

pytestmark = [pytest.mark.workflow, pytest.mark.sample]

WINDOWS = "data/windows/challenge"
THREE_BATCHES = (
    "data.challenge.sources=[georgia, ptb, ptb-xl]",
    "data.challenge.max_records_per_source=3",
)
ON_SLURM = (
    "snakemake", "--profile", "profiles/slurm", f"{WINDOWS}/manifest.json",
    "--slurm-status-command", "squeue",  # this cluster keeps no accounts for sacct
    "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1", "--latency-wait", "10",
    "--group-components", "batch=2",  # what one of these small nodes can hold
)  # fmt: skip


@pytest.fixture
def cluster(sample_folder: Path) -> Iterator[Path]:
    """A running cluster; the folder of the real sample."""
    reason = slurm_cluster.why_not()
    if reason:
        pytest.skip(f"no SLURM on this machine: {reason}")
    with slurm_cluster.two_nodes():
        yield sample_folder


def checksums(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_nodes_give_the_bytes_of_one_machine(tmp_path: Path, cluster: Path) -> None:
    alone, spread = new_study(tmp_path / "alone"), new_study(tmp_path / "spread")
    for study in (alone, spread):
        study.preset("sample", f"data.challenge.base_url={cluster / 'challenge-2021/1.0.3'}", *THREE_BATCHES)
    alone.run("snakemake", "--cores", "2", f"{WINDOWS}/manifest.json")

    spread.run(*ON_SLURM)
    ran = slurm_cluster.jobs()
    assert {state for state, _ in ran.values()} == {"COMPLETED"}
    assert {node for _, node in ran.values()} == set(slurm_cluster.NODES)
    assert len(ran) == 3  # two batches, the third, collect
    assert checksums(spread.folder / WINDOWS) == checksums(alone.folder / WINDOWS)
    assert len(spread.parts()) == 3
    left = [path for path in (spread.folder / "data/work").rglob("*") if path.is_file()]
    assert not left  # a batch's temporary files end with it

    parts = spread.parts()
    assert "Nothing to be done" in spread.run(*ON_SLURM)
    assert slurm_cluster.jobs() == ran
    assert spread.parts() == parts
