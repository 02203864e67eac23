"""The workflow is workflow/Snakefile, where others look for it; here it is found by a plain `snakemake --cores 2`."""


include: "workflow/Snakefile"


workflow.default_target = "all"  # which an include does not hand on
