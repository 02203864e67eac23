"""Peak memory of each step of a batch stays under 1 GiB: recordings of 30 minutes, and two thousand of them."""

import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from physiopipe.cohorts.challenge import ChallengeData, SimulateChallenge, Source
from physiopipe.cohorts.challenge_simulation import simulate_challenge
from physiopipe.cohorts.challenge_tree import plan_batches
from physiopipe.files import write_json
from physiopipe.params import Run
from physiopipe.recordings.tree import open_tree

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]

PROGRAM = """
import json, resource, sys
from pathlib import Path
from physiopipe.cohorts.registry import cohort
from physiopipe.params import check_params
from physiopipe.recordings.tree import Batch
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, read_recordings, resample_batch
step, folder, tree = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
params, batch = check_params({}, "", False), Batch(**json.loads((folder / "batch.json").read_text()))
ecg = lambda section: getattr(params, section)["challenge"]["ecg"]
if step == "filter":
    data = params.data["challenge"]
    recordings = read_recordings(cohort("challenge"), "ecg", folder / "stamp.json", batch, tree, data)
    filter_batch(recordings, folder / "filtered.batch", ecg("filter"))
elif step == "resample":
    resample_batch(folder / "filtered.batch", folder / "resampled.batch", ecg("resample"))
else:
    from physiopipe.windows.shard import shard_batch
    name = PartName("challenge", "ecg", batch.name, "test", True)
    rates_hz = ecg("resample").rates_hz
    shard_batch(folder / "resampled.batch", folder / "part", name, rates_hz, ecg("shard"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.parametrize(
    ("source", "records", "length_s", "times"),
    [("st_petersburg_incart", 3, 1800.0, 1), ("georgia", 50, 10.0, 40)],
    ids=["three of 30 minutes", "two thousand of 10 s"],
)
def test_no_step_needs_a_gibibyte(tmp_path: Path, source: Source, records: int, length_s: float, times: int) -> None:
    tree = tmp_path / "tree"
    simulate_challenge(tree / "SHA256SUMS.txt", SimulateChallenge(records_per_source=records, max_length_s=length_s))
    (batch,) = plan_batches(open_tree(str(tree), Run()), ChallengeData(sources=(source,)))
    files = []
    for header, _ in batch.files[::2]:  # each record several times: a copy of its header names the same samples
        for copy in range(times):
            shutil.copyfile(tree / header, tree / f"{header[:-4]}_{copy}.hea")
            files.append((f"{header[:-4]}_{copy}.hea", ""))
    batch = replace(batch, files=tuple(files))
    write_json(tmp_path / "batch.json", asdict(batch))
    write_json(tmp_path / "stamp.json", {"listed": "", "files": {}, "records": list(batch.records), "rejected": []})
    peaks = {}
    for step in ("filter", "resample", "shard"):
        command = [sys.executable, "-c", PROGRAM, step, str(tmp_path), str(tree)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        peaks[step] = float(done.stdout.split()[-1])
    print(peaks)
    assert max(peaks.values()) < 1024, peaks
