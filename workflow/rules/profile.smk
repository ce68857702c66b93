rule cost:
    input:
        spec=f"{SPECS}/costs/{{paper}}.json",
    output:
        f"{ROOT}/costs/{{paper}}.json",
    log:
        f"{ROOT}/logs/cost/{{paper}}.log",
    localrule: "cost" in BESIDE
    conda:
        "../../environment.yml"
    shell:
        "python -m vidtune cost --spec {input.spec:q} --out {output:q} > {log:q} 2>&1"


# Measured at the declared size, on demand: `snakemake bench` for every variant, or one file of it.
# The device is that of the machine Snakemake runs on; a CPU measures one video at a time.
BENCH = f"{ROOT}/bench/{JOBS.device}"
ON_CPU = "--device cpu --batch 1 --steps 3 --warmup 1" if JOBS.device == "cpu" else ""


rule bench_variant:
    output:
        f"{BENCH}/{{paper}}/{{variant}}.json",
    log:
        f"{ROOT}/logs/bench/{{paper}}/{{variant}}.log",
    conda:
        "../../environment.yml"
    threads: GIVEN.cores or CORES  # nothing beside what is timed
    resources:
        **ASKS.on_gpu(),
    params:
        on_cpu=ON_CPU,
        clips=f"{DATA}/bench",
        papers=SETTINGS.papers,
    shell:
        "python -m vidtune.gpu --exclusive -- python -m vidtune bench {wildcards.paper}/{wildcards.variant}"
        " --papers {params.papers} --clips {params.clips:q} {params.on_cpu} --out {output:q} > {log:q} 2>&1"


rule bench:
    input:
        expand(f"{BENCH}/{{variant}}.json", variant=PLAN.models),


rule memory:
    input:
        spec=f"{SPECS}/memory/{{paper}}.json",
    output:
        f"{ROOT}/memory/{{paper}}.json",
    log:
        f"{ROOT}/logs/memory/{{paper}}.log",
    localrule: "memory" in BESIDE
    conda:
        "../../environment.yml"
    shell:
        "python -m vidtune memory --spec {input.spec:q} --out {output:q} > {log:q} 2>&1"
