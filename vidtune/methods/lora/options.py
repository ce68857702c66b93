from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    lora_rank: int = 8  # main.py:70
