"""vidtune's workflow, which is workflow/Snakefile: `snakemake` looks for it here first."""


include: "workflow/Snakefile"


