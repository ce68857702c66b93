# The file itself lies in the cache, which no rule owns: Snakemake deletes what it makes anew.
rule fetch:
    output:
        touch(f"{ROOT}/fetched/{{released}}"),
    log:
        f"{ROOT}/logs/fetch/{{released}}.log",
    priority: 1
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "python -m vidtune fetch {wildcards.released:q} > {log:q} 2>&1"


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
