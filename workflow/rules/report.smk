rule collect:
    input:
        expand(f"{ROOT}/costs/{{paper}}.json", paper=PLAN.config.papers),
        expand(f"{ROOT}/memory/{{paper}}.json", paper=PLAN.config.papers),
        expand(f"{ROOT}/runs/{{run}}/eval.json", run=JOBS.runs),
        expand(
            f"{ROOT}/backbones/{{backbone}}/premise.json", backbone=PLAN.pretrainings
        ),
        JOBS.measurements(),
        CONFIG,
    output:
        report(f"{ROOT}/rows.csv", caption="../report/rows.rst", category="Numbers"),
    log:
        f"{ROOT}/logs/collect.log",
    localrule: "collect" in BESIDE
    conda:
        "../../environment.yml"
    params:
        code=CODE,
        selected=SELECTED,
    shell:
        "python -m vidtune collect {params.selected} > {log:q} 2>&1"


# Tables, plots and the page are outputs of one job, which they share most work of. What alone is missing,
# as a table that was deleted, is the output of a second one. Both have one command, so that Snakemake takes
# neither's files for those of other code.
for part, files in JOBS.shown().items():

    rule:
        name:
            f"report{part}"
        input:
            f"{ROOT}/rows.csv",
            expand(f"{ROOT}/looks/{{run}}.npz", run=JOBS.looks),
            JOBS.references(),
            CONFIG,
        output:
            [report(file, **about) if about else file for file, about in files.items()],
        log:
            f"{ROOT}/logs/report{part}.log",
        localrule: "report" in BESIDE
        conda:
            "../../environment.yml"
        params:
            code=CODE,
            selected=SELECTED,
        message:
            f"report{part}: {len(files)} files of tables, plots and the page in {ROOT}"
        shell:
            "python -m vidtune report {params.selected} --only {output:q} > {log:q} 2>&1"
