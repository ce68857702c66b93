def needed(wildcards):
    """Weights and videos of a run: generated ones, staged real ones, or the user's own lists."""
    run = PLAN.runs[wildcards.run]
    name = run.dataset.name
    made = STANDING[name] in ("generated", "own")
    videos = (
        f"{run.data}/manifest.json" if made else staged(name, stages.training_waits_for(run.dataset))
    )
    fetched = [f"{ROOT}/fetched/{file.name}" for file in cache.needed(run)]
    return [*filter(None, [run.weights]), *fetched, videos]


def staged(dataset, stage):
    """The mark of a stage that is done: what it made lies in the data folder, as no rule's output,
    because Snakemake would delete it before the stage runs again."""
    return f"{ROOT}/data/{dataset}.{stage}"


def waits(stage):
    """The input function of a stage."""

    def of(wildcards):
        mark = standing.stage_before(PLAN, wildcards.dataset, stage)
        return [staged(*mark)] if mark else []

    return of
