"""Recordings as published (or simulated): kept under data/raw, checked, never made twice."""


localrules:
    discover,
    download,


rule simulate:
    """Write a simulated cohort in the published layout; its last file tells that it is whole."""
    output:
        "data/simulated/{cohort}/{digest}/{last}",
    log:
        "logs/simulate/{cohort}-{digest}-{last}.log",
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    shell:
        "physiopipe simulate --params params.yaml --cohort {wildcards.cohort} 2>&1 | tee {log}"


checkpoint discover:
    """Learn the batches of a cohort: folders, records and checksums."""
    input:
        workflow_run.STAMP,
        ancient(published_input),
    output:
        "data/plan/{cohort}/{digest}/batches.csv",
    log:
        "logs/discover/{cohort}-{digest}.log",
    shell:
        "physiopipe discover --params params.yaml --cohort {wildcards.cohort} --output {output} 2>&1 | tee {log}"


rule download:
    """Bring the files of one batch here, each checked before it gets its name."""
    input:
        ancient(plan_input),
    output:
        "data/raw/{tree}/complete/{batch}/{digest}.json",
    log:
        "logs/download/{tree}/{batch}-{digest}.log",
    shell:
        "physiopipe download --params params.yaml --tree {wildcards.tree} --batch {wildcards.batch} 2>&1 | tee {log}"


rule unpack:
    """Read a cohort's one file once, into a file of recordings for each modality, which are kept: a changed filter of
    one modality does not read it again. The stamp comes last."""
    input:
        ancient(plan_input),
    output:
        "data/raw/{cohort}-unpacked/{digest}/unpacked.json",
    log:
        "logs/unpack/{cohort}-{digest}.log",
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    shell:
        "physiopipe unpack --params params.yaml --cohort {wildcards.cohort} --output {output} 2>&1 | tee {log}"
