from vidtune import spec


class Options(spec.Options):
    tasks = ("recognition",)
    archs = ("clip", "eva")
