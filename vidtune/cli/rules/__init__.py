"""The verbs that Snakemake's rules call, each under the rule's name."""
