rule collect:
    input:
        expand(f"{ROOT}/costs/{{paper}}.json", paper=PLAN.config.papers),
        expand(f"{ROOT}/memory/{{paper}}.json", paper=PLAN.config.papers),
        expand(f"{ROOT}/runs/{{run}}/eval.json", run=RUNS),
        MEASURED,
        CONFIG,
    output:
        f"{ROOT}/rows.csv",
    log:
        f"{ROOT}/logs/collect.log",
    conda:
        "../../environment.yml"
    params:
        code=lambda wildcards: CODE,
        scale=lambda wildcards: PLAN.scale.name,
        results=lambda wildcards: PLAN.config.settings.results,
        papers=lambda wildcards: PLAN.config.settings.papers,
    shell:
        "python -m vidtune collect --scale {params.scale} --results {params.results:q} --papers {params.papers} > {log:q} 2>&1"


rule report:
    input:
        f"{ROOT}/rows.csv",
        expand(f"{ROOT}/backbones/{{backbone}}/premise.json", backbone=MINI),
        CONFIG,
    output:
        f"{ROOT}/report.html",
    log:
        f"{ROOT}/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        code=lambda wildcards: CODE,
        scale=lambda wildcards: PLAN.scale.name,
        results=lambda wildcards: PLAN.config.settings.results,
        papers=lambda wildcards: PLAN.config.settings.papers,
    shell:
        "python -m vidtune report --scale {params.scale} --results {params.results:q} --papers {params.papers} > {log:q} 2>&1"
