# On a machine with GPUs each job has one; jobs on mini backbones share them. `exec` leaves no shell
# between Snakemake and the job that a signal to stop would end before the job has left its snapshot.
SEEDS = PLAN.scale.seeds
LEASE = "python -m vidtune.gpu" + (" --shared" if PLAN.pretrainings else "")


rule pretrain:
    input:
        spec=f"{SPECS}/backbones/{{backbone}}.json",
    output:
        weights=f"{ROOT}/backbones/{{backbone}}/clip.pt",
        facts=f"{ROOT}/backbones/{{backbone}}/pretrain.json",
    log:
        f"{ROOT}/logs/pretrain/{{backbone}}.log",
    priority: 1  # everything that is learned waits for it
    conda:
        "../../environment.yml"
    resources:
        **ASKS.on_gpu(),
        runtime=ASKS.minutes("pretrain"),
        mem_mb=ASKS.small_mb(),
    params:
        lease=LEASE,
    shell:
        "exec {params.lease} -- python -m vidtune pretrain --spec {input.spec:q} --out {output.weights:q} >> {log:q} 2>&1"


rule premise:
    input:
        spec=f"{SPECS}/premises/{{backbone}}.json",
        weights=f"{ROOT}/backbones/{{backbone}}/clip.pt",
        videos=lambda wildcards: JOBS.premise_videos(wildcards.backbone),
    output:
        f"{ROOT}/backbones/{{backbone}}/premise.json",
    log:
        f"{ROOT}/logs/premise/{{backbone}}.log",
    conda:
        "../../environment.yml"
    resources:
        **ASKS.on_gpu(),
        runtime=ASKS.minutes("premise"),
        mem_mb=ASKS.small_mb(),
    params:
        lease=LEASE,
    shell:
        "exec {params.lease} -- python -m vidtune premise --spec {input.spec:q} --out {output:q} >> {log:q} 2>&1"


# How many GPUs a training has, on how many nodes, in how many parts they compute their clips, and whether
# backward computes blocks again, changes no result: all are resources, whose change repeats nothing.
# `learn` trains and tests all seeds of a variant. No model.pt and train.json is an output, so that a job
# which was stopped goes on with the seed it was at, and a training that has ended while Snakemake was away
# is not repeated: Snakemake deletes every output of a job that failed, or that runs again.
if PLAN.scale.together:

    rule learn:
        input:
            lambda wildcards: JOBS.inputs(f"{wildcards.learned}@{SEEDS[0]}"),
            specs=expand(f"{SPECS}/runs/{{{{learned}}}}@{{seed}}.json", seed=SEEDS),
        output:
            expand(f"{ROOT}/runs/{{{{learned}}}}@{{seed}}/eval.json", seed=SEEDS),
        log:
            f"{ROOT}/logs/learn/{{learned}}.log",
        conda:
            "../../environment.yml"
        resources:
            **ASKS.on_gpu(),
            runtime=ASKS.minutes("learn"),
            mem_mb=ASKS.small_mb(),
        params:
            lease=LEASE,
            runs=lambda wildcards, output: Path(output[0]).parents[2],
        shell:
            "exec {params.lease} -- python -m vidtune learn --spec {input.specs:q} --out {params.runs:q} >> {log:q} 2>&1"

else:

    rule train:
        input:
            lambda wildcards: JOBS.inputs(wildcards.run),
            spec=f"{SPECS}/runs/{{run}}.json",
        output:
            touch(f"{ROOT}/trained/{{run}}"),
        log:
            f"{ROOT}/logs/train/{{run}}.log",
        conda:
            "../../environment.yml"
        threads: lambda wildcards: ASKS.cores(wildcards.run)
        resources:
            **ASKS.on_gpus(),
            over=lambda wildcards: ASKS.nodes(wildcards.run),
            launch=lambda wildcards: ASKS.launch(wildcards.run),
            parts=lambda wildcards: JOBS.parts_of(wildcards.run),
            recompute=lambda wildcards: JOBS.recompute_of(wildcards.run),
            runtime=lambda wildcards, attempt: ASKS.run_minutes(
                "train", wildcards.run, attempt
            ),
            mem_mb=lambda wildcards, attempt: ASKS.run_mb(wildcards.run, attempt),
        params:
            model=lambda wildcards: JOBS.checkpoint(wildcards.run),
        shell:
            "{resources.launch} python -m vidtune train --spec {input.spec:q} --out {params.model:q} --ranks {resources.ranks} --nodes {resources.over} --parts {resources.parts} {resources.recompute} >> {log:q} 2>&1"

    rule evaluate:
        input:
            lambda wildcards: JOBS.inputs(wildcards.run),
            spec=f"{SPECS}/runs/{{run}}.json",
            trained=lambda wildcards: JOBS.trained(wildcards.run),
        output:
            f"{ROOT}/runs/{{run}}/eval.json",
        log:
            f"{ROOT}/logs/evaluate/{{run}}.log",
        conda:
            "../../environment.yml"
        threads: lambda wildcards: ASKS.cores(wildcards.run)
        resources:
            **ASKS.on_gpus(),
            over=lambda wildcards: ASKS.nodes(wildcards.run),
            launch=lambda wildcards: ASKS.launch(wildcards.run),
            runtime=lambda wildcards, attempt: ASKS.run_minutes(
                "evaluate", wildcards.run, attempt
            ),
            mem_mb=lambda wildcards, attempt: ASKS.run_mb(wildcards.run, attempt),
        params:
            model=lambda wildcards: JOBS.checkpoint(wildcards.run),
        shell:
            "{resources.launch} python -m vidtune evaluate --spec {input.spec:q} --checkpoint {params.model:q} --out {output:q} --ranks {resources.ranks} --nodes {resources.over} >> {log:q} 2>&1"


rule look:
    input:
        lambda wildcards: JOBS.inputs(wildcards.run),
        spec=f"{SPECS}/runs/{{run}}.json",
        tested=f"{ROOT}/runs/{{run}}/eval.json",
    output:
        f"{ROOT}/looks/{{run}}.npz",
    log:
        f"{ROOT}/logs/look/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: lambda wildcards: ASKS.cores(wildcards.run, "look")
    resources:
        **ASKS.on_gpu(),
        runtime=lambda wildcards, attempt: ASKS.run_minutes(
            "look", wildcards.run, attempt
        ),
        mem_mb=lambda wildcards, attempt: ASKS.run_mb(wildcards.run, attempt, "look"),
    params:
        lease=LEASE,
        model=lambda wildcards: JOBS.checkpoint(wildcards.run),
    shell:
        "exec {params.lease} -- python -m vidtune look --spec {input.spec:q} --checkpoint {params.model:q} --out {output:q} >> {log:q} 2>&1"
