"""The tables that are shown: overviews, then every published one with what config/tables.yaml adds."""

from pathlib import Path

from vidtune.spec import Paper, Table, UserError, parse, read_yaml, slug
from vidtune.spec.table import Layout, Tables


def read_tables(folder: Path, papers: dict[str, Paper]) -> dict[str, Table]:
    """Name -> table, in the order of the file, the papers and their numbers."""
    path = folder / "tables.yaml"
    declared = parse(Tables, read_yaml(path), path)
    out = {name: Table(name=name, **dict(one)) for name, one in declared.overviews.items()}
    for name, layouts in declared.published.items():
        if not (folder / "papers" / f"{name}.yaml").is_file():
            raise UserError(f"{path}: published.{name}: no file papers/{name}.yaml; fix the name")
        printed = [n.where for n in papers[name].numbers] if name in papers else [*layouts]
        for where in layouts:
            if where not in printed:
                raise UserError(
                    f"{path}: published.{name}: {where!r} is not among the tables of {name}; "
                    f"known: {', '.join(dict.fromkeys(printed))}"
                )
    for paper in papers.values():
        layouts = declared.published.get(paper.name, {})
        for where in dict.fromkeys(n.where for n in paper.numbers):
            table = _published(paper, where, layouts.get(where, Layout()))
            out[table.name] = table
    return out


def _published(paper: Paper, where: str, layout: Layout) -> Table:
    """A table of the paper, with the columns of its layout or those that it prints."""
    title = layout.title or next(n.caption for n in paper.numbers if n.where == where)
    return Table(
        name=f"{paper.name}-{slug(where)}",
        title=f"{paper.cite.label or paper.name}, {where}: {title}",
        columns=layout.columns or printed_in(paper, where),
        also=layout.also,
        note=layout.note,
        paper=paper.name,
        where=where,
    )


def printed_in(paper: Paper, where: str) -> tuple[str, ...]:
    """The metrics that a published table prints, in its order."""
    cells = (row for n in paper.numbers if n.where == where for row in n.rows.values())
    return tuple(dict.fromkeys(metric for row in cells for metric in row))
