"""Finished parts into the cohort that training reads."""


rule collect:
    """Link the parts of a cohort into data/windows, with one index; the manifest comes last."""
    input:
        lambda wildcards: plan.parameter_stamp(PARAMS, wildcards.cohort, "windows"),
        parts_input,
    output:
        "data/windows/{cohort}/manifest.json",
    priority: 4
    log:
        "logs/collect/{cohort}.log",
    shell:
        "physiopipe collect --params {PARAMS_FILE} --cohort {wildcards.cohort} 2>&1 | tee {log}"
