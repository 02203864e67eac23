"""Recordings -> windows: the data half of the study.

`snakemake --cores 2` downloads (or simulates), filters, resamples and shards every batch of recordings, and
collects the parts into data/windows/<cohort>, with an overview of each in data/overview: `snakemake --report page.html`
shows these. Each rule calls one verb of the package; see docs/design.md.
"""

from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


container: "docker://python:3.11-slim"


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/overview.smk"


rule windows:
    """Windows of every cohort of the study."""
    input:
        expand("data/windows/{cohort}/manifest.json", cohort=COHORTS),


rule all:
    """Windows of every cohort of the study, and an overview of them."""
    default_target: True
    input:
        rules.windows.input,
        [
            f"data/overview/{name}-{modality}/made_from.json"
            for name in COHORTS
            for modality in cohort(name).modalities
        ],
