def needed(wildcards):
    """Weights made here and generated videos of a run; real ones are brought by the user."""
    run = PLAN.runs[wildcards.run]
    videos = [f"{run.data}/manifest.json"] if run.dataset.files else []
    return [run.weights, *videos] if run.model.backbone.pretraining else videos
