rule cost:
    input:
        spec=f"{SPECS}/costs/{{paper}}.json",
    output:
        f"{ROOT}/costs/{{paper}}.json",
    log:
        f"{ROOT}/logs/cost/{{paper}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m vidtune cost --spec {input.spec:q} --out {output:q} > {log:q} 2>&1"
