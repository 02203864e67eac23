"""What was stored, to be looked at: figures and tables that `snakemake --report` shows."""


rule overview:
    """Records, flags, limits and rejections of one modality of a cohort, with examples of its windows."""
    input:
        "data/windows/{cohort}/manifest.json",
    output:
        quality=report(
            "data/overview/{cohort}-{modality}/quality.png",
            caption="../report/quality.rst",
            category=titled,
            subcategory="{modality}",
            labels={"what": "examples of the quality flags"},
        ),
        flags=report(
            "data/overview/{cohort}-{modality}/flags.csv",
            caption="../report/flags.rst",
            category=titled,
            subcategory="{modality}",
            labels={"what": "windows with each quality flag, by source"},
        ),
        thresholds=report(
            "data/overview/{cohort}-{modality}/thresholds.csv",
            caption="../report/thresholds.rst",
            category=titled,
            subcategory="{modality}",
            labels={"what": "what raises each flag"},
        ),
        records=report(
            "data/overview/{cohort}-{modality}/records.csv",
            caption="../report/records.rst",
            category=titled,
            subcategory="{modality}",
            labels={"what": "records, hours and windows, by source"},
        ),
        lengths=report(
            "data/overview/{cohort}-{modality}/lengths.png",
            caption="../report/lengths.rst",
            category=titled,
            subcategory="{modality}",
            labels={"what": "lengths of the recordings"},
        ),
        rejected=report(
            "data/overview/{cohort}-{modality}/rejected.csv",
            caption="../report/rejected.rst",
            category=titled,
            subcategory="{modality}",
            labels={"what": "recordings that could not be used"},
        ),
        made_from="data/overview/{cohort}-{modality}/made_from.json",
    log:
        "logs/overview/{cohort}-{modality}.log",
    priority: 5
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        folder=lambda wildcards, output: Path(output.made_from).parent,
    shell:
        "physiopipe overview --params params.yaml --cohort {wildcards.cohort} --modality {wildcards.modality}"
        " --output {params.folder} 2>&1 | tee {log}"
