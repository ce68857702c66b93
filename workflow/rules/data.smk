# The file itself lies in the cache, which no rule owns: Snakemake deletes a rule's outputs before
# it runs again.
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
        spec=f"{SPECS}/generated/{{generated}}.json",
    output:
        f"{DATA}/{{generated}}/manifest.json",
    log:
        f"{ROOT}/logs/generate/{{generated}}.log",
    priority: 1
    conda:
        "../../environment.yml"
    resources:
        runtime=ASKS.minutes("generate"),
        mem_mb=ASKS.small_mb(),
    params:
        out=lambda wildcards, output: os.path.dirname(output[0]),
    shell:
        "python -m vidtune generate --spec {input.spec:q} --out {params.out:q} > {log:q} 2>&1"


for stage in STAGES:

    rule:
        name:
            f"data_{stage}"
        input:
            lambda wildcards, stage=stage: JOBS.stage_inputs(wildcards.dataset, stage),
            spec=f"{SPECS}/datasets/{{dataset}}.json",
        output:
            JOBS.done_file("{dataset}", stage),
        log:
            f"{ROOT}/logs/data/{{dataset}}.{stage}.log",
        priority: 1
        localrule: stage in ("fetch", "split", "describe")
        conda:
            "../../environment.yml"
        threads: 1 if stage in ("fetch", "split", "describe") else CORES
        resources:
            **ASKS.stage(),
        params:
            stage=stage,
            scale=PLAN.scale.name,
            data=DATA,
        shell:
            "python -m vidtune data {params.stage} {wildcards.dataset:q} --scale {params.scale} "
            "--data {params.data:q} --done {output:q} > {log:q} 2>&1"
