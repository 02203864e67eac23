"""Parameters, names and the inputs that are known only after `discover`."""

import atexit
from pathlib import Path

from physiopipe import errors_noted, plan, workflow_run
from physiopipe.cohorts.base import OneFile
from physiopipe.cohorts.registry import cohort
from physiopipe.params import load_params

PARAMS = load_params(Path("params.yaml"), with_methods=False)
COHORTS = PARAMS.cohorts.in_use
# A job's own Snakemake, on another node, leaves the files' times alone
if workflow.is_main_process:
    workflow_run.mark_stale_windows(PARAMS)
    if not workflow.dryrun:  # which is asked for to see the plan
        workflow_run.keep_plans_off_the_screen()


onstart:
    workflow_run.claim_folder()
    errors_noted.begin_notes(workflow_run.ERRORS)


onerror:
    # After Snakemake's own last words, so that the cause is what is seen
    atexit.register(errors_noted.tell_notes, workflow_run.ERRORS)


onsuccess:
    if not workflow.storage_settings.notemp:
        workflow_run.remove_finished_work()


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
    """What `discover` waits for: the simulator's last file, or nothing.

    The plan's folder is named by what a published source holds; that it is missing is left to `discover` to say.
    """
    name = wildcards.cohort
    return [plan.simulated_file(PARAMS, name)] if PARAMS.simulated(name) else []


def plan_input(wildcards):
    """The plan of a cohort, or of the one whose published tree is kept in a folder of data/raw."""
    name = wildcards.get("cohort") or plan.cohort_of_tree(PARAMS, wildcards.tree)
    return plan.plan_folder(PARAMS, name) / "batches.csv"


def recordings_input(wildcards):
    """What a batch is read from: the stamp of its download, or of the file that it was unpacked from."""
    batch = plan.planned_batch(PARAMS, wildcards.cohort, wildcards.batch)
    return plan.recordings_file(PARAMS, wildcards.cohort, batch)


def parts_input(wildcards):
    """The last file of every part of a cohort."""
    folder = plan.plan_folder(PARAMS, wildcards.cohort)
    checkpoints.discover.get(cohort=wildcards.cohort, digest=folder.name)
    return [
        part.folder / "part.json"
        for part in plan.planned_parts(PARAMS, wildcards.cohort)
    ]


def titled(wildcards):
    """What the report calls a cohort."""
    title = cohort(wildcards.cohort).title
    return f"{title} (simulated)" if PARAMS.simulated(wildcards.cohort) else title
