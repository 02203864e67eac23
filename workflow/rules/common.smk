"""Parameters, names and the inputs that are known only after `discover`."""

from pathlib import Path

from physiopipe import plan
from physiopipe.params import load_params

PARAMS = load_params(Path("params.yaml"))
COHORTS = list(plan.MODALITIES)
# A job's own Snakemake, on another node, reads the stamps and leaves them alone
if workflow.is_main_process:
    plan.write_stamps(PARAMS)


onstart:
    plan.claim_folder()


onsuccess:
    if not workflow.storage_settings.notemp:
        plan.remove_finished_work()


wildcard_constraints:
    cohort="challenge|dreamer",
    modality="ecg|eeg",
    batch=r"[a-z0-9_.\-]+",
    digest=r"[0-9a-f]+",


def more(amount):
    """MB or minutes that a job asks a cluster for; each retry asks for as much again."""
    return lambda wildcards, attempt: amount * attempt


def simulated_input(wildcards):
    """What `discover` waits for: the simulator's last file, the real DREAMER.mat, or nothing."""
    if getattr(PARAMS.data, wildcards.cohort).origin == "simulated":
        return [plan.simulated_file(wildcards.cohort)]
    real = Path(PARAMS.data.dreamer.path)
    # A missing file is left to `discover`, whose error says how to get it
    return [real] if wildcards.cohort == "dreamer" and real.exists() else []


def recordings_input(wildcards):
    """What a batch is read from: the stamp of its download, or the recordings unpacked from DREAMER.mat."""
    batch = plan.planned_batch(wildcards.cohort, wildcards.batch)
    return plan.recordings_file(PARAMS, wildcards.cohort, wildcards.modality, batch)


def parts_input(wildcards):
    """The last file of every part of a cohort."""
    checkpoints.discover.get(cohort=wildcards.cohort)
    return [
        part.folder / "part.json"
        for part in plan.planned_parts(PARAMS, wildcards.cohort)
    ]
