# The file itself lies in the cache, which no rule owns: Snakemake deletes a rule's outputs before
# it runs again.
rule fetch:
    output:
        touch(f"{ROOT}/fetched/{{released}}"),
    log:
        f"{ROOT}/logs/fetch/{{released}}.log",
    priority: 1
    localrule: "fetch" in BESIDE
    conda:
        "../../environment.yml"
    shell:
        "python -m vidtune fetch {wildcards.released:q} > {log:q} 2>&1"


rule generate:
    input:
        spec=f"{SHARED_SPECS}/generated/{{generated}}.json",
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


# Where a dataset is large, what reads all its videos is cut into shards, which the stage then gathers.
for stage in SCATTERED:

    rule:
        name:
            f"data_{stage}_shard"
        input:
            lambda wildcards, stage=stage: JOBS.before_stage(wildcards.dataset, stage),
            spec=f"{SHARED_SPECS}/datasets/{{dataset}}.json",
        output:
            JOBS.done_file("{dataset}", stage, "{shard}"),
        log:
            f"{ROOT}/logs/data/{{dataset}}.{stage}.{{shard}}.log",
        priority: 1
        conda:
            "../../environment.yml"
        threads: CORES
        resources:
            **ASKS.stage(stage),
        params:
            stage=stage,
            shard=lambda wildcards: wildcards.shard.replace("of", "/"),
            data=DATA,
        shell:
            "python -m vidtune data {params.stage} {wildcards.dataset:q} --shard {params.shard} "
            "--data {params.data:q} --done {output:q} > {log:q} 2>&1"


for stage in STAGES:

    rule:
        name:
            f"data_{stage}"
        input:
            lambda wildcards, stage=stage: JOBS.stage_inputs(wildcards.dataset, stage),
            spec=f"{SHARED_SPECS}/datasets/{{dataset}}.json",
        output:
            JOBS.done_file("{dataset}", stage),
        log:
            f"{ROOT}/logs/data/{{dataset}}.{stage}.log",
        priority: 1
        localrule: f"data_{stage}" in BESIDE
        conda:
            "../../environment.yml"
        threads: lambda wildcards, stage=stage: ASKS.stage_cores(wildcards.dataset, stage)
        resources:
            **ASKS.stage(stage),
        params:
            stage=stage,
            data=DATA,
        shell:
            "python -m vidtune data {params.stage} {wildcards.dataset:q} "
            "--data {params.data:q} --done {output:q} > {log:q} 2>&1"
