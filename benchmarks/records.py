"""The records that benchmarks run on: the real sample that PHYSIOPIPE_SAMPLE_DIR names, else simulated ones."""

import os
from collections.abc import Collection
from pathlib import Path

from physiopipe.cohorts.challenge import ChallengeData, SimulateChallenge
from physiopipe.cohorts.challenge_simulation import simulate_challenge
from physiopipe.cohorts.challenge_tree import plan_batches
from physiopipe.params import Run
from physiopipe.recordings.tree import Batch, open_tree


def benchmark_tree(scratch: Path) -> tuple[Path, str]:
    """Folder of a Challenge tree and what it holds, in words."""
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if sample:
        return Path(sample) / "challenge-2021" / "1.0.3", "real records (PHYSIOPIPE_SAMPLE_DIR)"
    # Two a source: with three or more the simulator spoils some, which the plain way cannot read
    simulate_challenge(scratch / "tree" / "SHA256SUMS.txt", SimulateChallenge(records_per_source=2))
    return scratch / "tree", "SIMULATED records (PHYSIOPIPE_SAMPLE_DIR is not set)"


def benchmark_batches(tree: Path) -> list[Batch]:
    """Every batch of a tree."""
    return plan_batches(open_tree(str(tree), Run()), ChallengeData(allow_missing_sources=True))


def some_of(batch: Batch, records: Collection[str]) -> Batch:
    """A batch of some of a batch's records."""
    return Batch(batch.name, batch.source, tuple(file for file in batch.files if Path(file[0]).stem in records))
