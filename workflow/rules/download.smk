"""Recordings as published (or simulated): kept under data/raw, checked, never made twice."""


localrules:
    discover,
    download,


rule simulate:
    """Write a simulated cohort in the published layout; its last file tells that it is whole."""
    input:
        "data/plan/{cohort}/simulate.params.json",
    output:
        "data/simulated/{cohort}/{last,SHA256SUMS.txt|DREAMER.mat}",
    log:
        "logs/simulate/{cohort}-{last}.log",
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    shell:
        "physiopipe simulate --params params.yaml --cohort {wildcards.cohort} 2>&1 | tee {log}"


checkpoint discover:
    """Learn the batches of a cohort: folders, records and checksums."""
    input:
        "data/plan/{cohort}/data.params.json",
        simulated_input,
    output:
        "data/plan/{cohort}/batches.csv",
    log:
        "logs/discover/{cohort}.log",
    shell:
        "physiopipe discover --params params.yaml --cohort {wildcards.cohort} 2>&1 | tee {log}"


rule download:
    """Bring the files of one batch here, each checked before it gets its name."""
    input:
        ancient("data/plan/challenge/batches.csv"),
    output:
        "data/raw/{tree}/complete/{batch}/{digest}.json",
    log:
        "logs/download/{tree}/{batch}-{digest}.log",
    shell:
        "physiopipe download --params params.yaml --batch {wildcards.batch} 2>&1 | tee {log}"


rule unpack:
    """Read DREAMER.mat once, into one file of recordings for each modality; kept, so that a changed filter of one
    modality does not read it again."""
    input:
        ancient("data/plan/dreamer/batches.csv"),
    output:
        eeg="data/raw/dreamer-unpacked/{digest}/eeg.batch",
        ecg="data/raw/dreamer-unpacked/{digest}/ecg.batch",
    log:
        "logs/unpack/{digest}.log",
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    shell:
        "physiopipe unpack --params params.yaml --eeg {output.eeg} --ecg {output.ecg} 2>&1 | tee {log}"
