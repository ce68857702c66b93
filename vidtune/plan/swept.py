"""Figures that follow one option of a method at a time."""

from collections.abc import Mapping

from vidtune.spec import Figure, Model, UserError

SWEPT = ("merge_layers", "cross", "intra")  # options that have an axis


def by_option(models: Mapping[str, Model], paper: str, figure: Figure) -> dict[str, list[str]]:
    """Option -> the figure's first row, and the variants that differ from it in that option alone.

    Raises `UserError` where a row differs otherwise.
    """
    first = models[f"{paper}/{figure.rows[0]}"]
    out: dict[str, list[str]] = {option: [] for option in SWEPT}
    for row in figure.rows[1:]:
        model = models[f"{paper}/{row}"]
        differing = [k for k, v in model.options.items() if v != first.options.get(k)]
        if model.method != first.method:
            differing = ["the method"]
        if len(differing) != 1 or differing[0] not in SWEPT:
            raise UserError(
                f"papers/{paper}.yaml: figures: {figure.where}: {row}: expected another "
                f"{' or '.join(SWEPT)} than {figure.rows[0]}; found {', '.join(differing) or 'none'}"
            )
        out[differing[0]].append(model.name)
    return {option: [first.name, *names] for option, names in out.items() if names}
