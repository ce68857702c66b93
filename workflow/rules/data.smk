rule generate:
    input:
        spec=f"{SPECS}/files/{{files}}.json",
    output:
        f"{DATA}/{{files}}/manifest.json",
    log:
        f"{ROOT}/logs/generate/{{files}}.log",
    priority: 1
    conda:
        "../../environment.yml"
    params:
        out=lambda wildcards, output: os.path.dirname(output[0]),
    shell:
        "python -m vidtune generate --spec {input.spec:q} --out {params.out:q} > {log:q} 2>&1"
