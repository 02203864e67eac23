"""Finished parts into the cohort that training reads."""


rule collect:
    """Link the parts of a cohort into data/windows, with one index; the manifest comes last."""
    input:
        workflow_run.STAMP,
        ancient(parts_input),
    output:
        "data/windows/{cohort}/manifest.json",
    log:
        "logs/collect/{cohort}.log",
    priority: 4
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    shell:
        "physiopipe collect --params params.yaml --cohort {wildcards.cohort} 2>&1 | tee {log}"
