"""Recordings -> windows: the data half of the study.

`snakemake --cores 2` downloads (or simulates), filters, resamples and shards every batch of recordings, and
collects the parts into data/windows/<cohort>. Each rule calls one verb of the package; see docs/design.md.
"""

from snakemake.utils import min_version

min_version("9.0")


container: "docker://python:3.11-slim"


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/collect.smk"


rule all:
    """Windows of every cohort of the study."""
    default_target: True
    input:
        expand("data/windows/{cohort}/manifest.json", cohort=COHORTS),
