def needed(wildcards):
    """Weights and generated videos of a run; real videos are brought by the user."""
    run = PLAN.runs[wildcards.run]
    videos = [f"{run.data}/manifest.json"] if run.dataset.files else []
    fetched = [f"{ROOT}/fetched/{file.name}" for file in cache.needed(run)]
    return [*filter(None, [run.weights]), *fetched, *videos]
