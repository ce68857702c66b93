# On a machine with GPUs each job has one; jobs on mini backbones share them.
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
    params:
        lease=LEASE,
    shell:
        "{params.lease} -- python -m vidtune pretrain --spec {input.spec:q} --out {output.weights:q} > {log:q} 2>&1"


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
    params:
        lease=LEASE,
    shell:
        "{params.lease} -- python -m vidtune premise --spec {input.spec:q} --out {output:q} > {log:q} 2>&1"


rule train:
    input:
        lambda wildcards: JOBS.inputs(wildcards.run),
        spec=f"{SPECS}/runs/{{run}}.json",
    output:
        model=f"{ROOT}/runs/{{run}}/model.pt",
        facts=f"{ROOT}/runs/{{run}}/train.json",
    log:
        f"{ROOT}/logs/train/{{run}}.log",
    conda:
        "../../environment.yml"
    params:
        lease=LEASE,
    shell:
        "{params.lease} -- python -m vidtune train --spec {input.spec:q} --out {output.model:q} > {log:q} 2>&1"


rule evaluate:
    input:
        lambda wildcards: JOBS.inputs(wildcards.run),
        spec=f"{SPECS}/runs/{{run}}.json",
        model=lambda wildcards: JOBS.checkpoint(wildcards.run),
    output:
        f"{ROOT}/runs/{{run}}/eval.json",
    log:
        f"{ROOT}/logs/evaluate/{{run}}.log",
    conda:
        "../../environment.yml"
    params:
        lease=LEASE,
    shell:
        "{params.lease} -- python -m vidtune evaluate --spec {input.spec:q} --checkpoint {input.model:q} --out {output:q} > {log:q} 2>&1"
