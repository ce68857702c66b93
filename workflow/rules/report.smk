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
        f"{ROOT}/rows.csv",
    log:
        f"{ROOT}/logs/collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        code=CODE,
        selected=SELECTED,
    shell:
        "python -m vidtune collect {params.selected} > {log:q} 2>&1"


rule report:
    input:
        f"{ROOT}/rows.csv",
        expand(f"{ROOT}/looks/{{run}}.npz", run=JOBS.looks),
        JOBS.references(),
        CONFIG,
    output:
        f"{ROOT}/report.html",
    log:
        f"{ROOT}/logs/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        code=CODE,
        selected=SELECTED,
    shell:
        "python -m vidtune report {params.selected} > {log:q} 2>&1"
