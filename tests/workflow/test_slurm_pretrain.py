"""cluster/pretrain.sbatch on a real SLURM: a warning signal saves, requeues, and the job goes on where it was."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm_cluster
from studies import ROOT, Study

pytestmark = [pytest.mark.workflow, pytest.mark.exhaustive]

CPU_NODE = ("--gpus=0", "--cpus-per-task=2", "--mem=3G", "--time=20")  # what these nodes have in place of a GPU
LONG_ENOUGH = ("pretrain.epochs=60", "pretrain.rate_weights={100: 1.0, 200: 1.0, 500: 0.0, 1000: 0.0}")


@pytest.fixture
def cluster() -> Iterator[None]:
    reason = slurm_cluster.why_not()
    if reason:
        pytest.skip(f"no SLURM on this machine: {reason}")
    with slurm_cluster.two_nodes():
        yield


def wait_for(what: str, ready: Callable[[], bool], log: Path, timeout_s: float = 240) -> None:
    end = time.monotonic() + timeout_s
    while not ready():
        words = log.read_text() if log.exists() else "no log"
        assert time.monotonic() < end, f"{what} did not come in {timeout_s:.0f} s:\n{words}"
        time.sleep(0.5)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("devices", ["auto", "2"])
def test_a_warned_job_is_requeued_and_goes_on(study: Study, devices: str) -> None:
    shutil.copytree(ROOT / "cluster", study.folder / "cluster")
    study.preset("tiny", *LONG_ENOUGH, f"run.devices={devices}")
    study.run("dvc", "repro", "pretraining_windows")
    options = " ".join(CPU_NODE)
    submitted = study.run("bash", "-c", f"sbatch --parsable {options} cluster/pretrain.sbatch")
    job = submitted.strip()
    log = study.folder / f"slurm-physiopipe-pretrain-{job}.log"

    def state() -> str:
        return slurm_cluster.jobs()[job][0]

    wait_for("training", (study.folder / "results/pretrain/loss.csv").exists, log)
    time.sleep(2)
    study.run("scancel", "--signal=USR1", "--batch", job)
    wait_for("the requeued job", lambda: state() == "PENDING", log)
    words = log.read_text()
    assert re.search(r"Interrupted after step \d+ of \d+; the state is saved", words), words
    assert "going on in another job of the same number" in words
    assert not (study.folder / "models/ecg_encoder.safetensors").exists()

    study.run("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM lets a requeued job wait two minutes
    wait_for("the end", lambda: state() in ("COMPLETED", "FAILED"), log)
    words = log.read_text()
    assert state() == "COMPLETED", words
    (stopped,) = re.findall(r"Interrupted after step (\d+) of", words)
    assert f"going on after step {stopped} of" in words
    assert (study.folder / "models/ecg_encoder.safetensors").stat().st_size > 0
    assert "pretrain:" in (study.folder / "dvc.lock").read_text()
