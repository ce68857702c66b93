"""vidtune's workflow, which is workflow/Snakefile: `snakemake` looks for it here first."""

workflow.default_target = "all"  # which an include leaves to the file that includes


include: "workflow/Snakefile"
