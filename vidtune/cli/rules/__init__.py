"""The verbs that Snakemake's rules call, each in a module of its name."""
