"""Signal processing of one batch; rising priority finishes a batch before the next begins."""


rule filter:
    """Leads in order, band-pass and notch at the recording's own rate."""
    input:
        recordings=ancient(recordings_input),
    output:
        temp("data/work/filtered/{cohort}-{modality}/{batch}/{digest}.batch"),
    log:
        "logs/filter/{cohort}-{modality}/{batch}-{digest}.log",
    priority: 1
    resources:
        mem_mb=more(1500),
        runtime=more(30),
    shell:
        "physiopipe filter --params params.yaml --cohort {wildcards.cohort} --modality {wildcards.modality}"
        " --batch {wildcards.batch} --recordings {input.recordings} --output {output} 2>&1 | tee {log}"


rule resample:
    """Every rate asked for."""
    input:
        filtered="data/work/filtered/{cohort}-{modality}/{batch}/{digest}.batch",
    output:
        temp("data/work/resampled/{cohort}-{modality}/{batch}/{digest}.batch"),
    log:
        "logs/resample/{cohort}-{modality}/{batch}-{digest}.log",
    priority: 2
    resources:
        mem_mb=more(1500),
        runtime=more(30),
    shell:
        "physiopipe resample --params params.yaml --cohort {wildcards.cohort} --modality {wildcards.modality}"
        " --filtered {input.filtered} --output {output} 2>&1 | tee {log}"


rule shard:
    """Windows, quality flags, index and Zarr arrays of one part."""
    input:
        resampled="data/work/resampled/{cohort}-{modality}/{batch}/{digest}.batch",
    output:
        "data/parts/{cohort}-{modality}/{batch}/{digest}/part.json",
    log:
        "logs/shard/{cohort}-{modality}/{batch}-{digest}.log",
    priority: 3
    resources:
        mem_mb=more(1500),
        runtime=more(30),
    shell:
        "physiopipe shard --params params.yaml --cohort {wildcards.cohort} --modality {wildcards.modality}"
        " --batch {wildcards.batch} --resampled {input.resampled} --output {output} 2>&1 | tee {log}"
