"""Parameters, names and the inputs that are known only after `discover`."""

from pathlib import Path

from physiopipe import plan
from physiopipe.cohorts.base import OneFile
from physiopipe.cohorts.registry import cohort
from physiopipe.params import load_params

PARAMS = load_params(Path("params.yaml"), with_methods=False)
COHORTS = PARAMS.cohorts.in_use
# A job's own Snakemake, on another node, reads the stamps and leaves them alone
if workflow.is_main_process:
    plan.write_stamps(PARAMS)


onstart:
    plan.claim_folder()


onsuccess:
    if not workflow.storage_settings.notemp:
        plan.remove_finished_work()


wildcard_constraints:
    cohort=r"[a-z0-9_]+",
    modality="ecg|eeg",
    tree=r"[a-z0-9_.\-]+",
    batch=r"[a-z0-9_.\-]+",
    digest=r"[0-9a-f]+",
    last="|".join(sorted({cohort(name).simulated_file for name in COHORTS})),


def more(amount):
    """MB or minutes that a job asks a cluster for; each retry asks for as much again."""
    return lambda wildcards, attempt: amount * attempt


def published_input(wildcards):
    """What `discover` waits for: the simulator's last file, the published file, or nothing."""
    name = wildcards.cohort
    if PARAMS.simulated(name):
        return [plan.simulated_file(name)]
    if not isinstance(cohort(name).publication, OneFile):
        return []
    published = Path(PARAMS.data[name].path)
    # A missing file is left to `discover`, whose error says how to get it
    return [published] if published.exists() else []


def batches_of_tree(wildcards):
    """The plan of the cohort whose published tree is kept in this folder."""
    return f"data/plan/{plan.cohort_of_tree(wildcards.tree)}/batches.csv"


def recordings_input(wildcards):
    """What a batch is read from: the stamp of its download, or of the file that it was unpacked from."""
    batch = plan.planned_batch(wildcards.cohort, wildcards.batch)
    return plan.recordings_file(PARAMS, wildcards.cohort, batch)


def parts_input(wildcards):
    """The last file of every part of a cohort."""
    checkpoints.discover.get(cohort=wildcards.cohort)
    return [
        part.folder / "part.json"
        for part in plan.planned_parts(PARAMS, wildcards.cohort)
    ]
