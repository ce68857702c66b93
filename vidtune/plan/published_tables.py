"""The tables that are shown: overviews, then every published one with what config/tables.yaml adds."""

from pathlib import Path

from vidtune.spec import Paper, Table, UserError, parse, read_yaml, slug
from vidtune.spec.contents import Content
from vidtune.spec.table import Layout, Tables


def read_tables(folder: Path, papers: dict[str, Paper]) -> dict[str, Table]:
    """Name -> table, in the order of the file, the papers and their contents. A table of which no
    number is known is shown where a layout gives its columns and rows."""
    path = folder / "tables.yaml"
    declared = parse(Tables, read_yaml(path), path)
    out = {name: Table(name=name, **dict(one)) for name, one in declared.overviews.items()}
    for name, layouts in declared.published.items():
        if not (folder / "papers" / f"{name}.yaml").is_file():
            raise UserError(f"{path}: published.{name}: no file papers/{name}.yaml; fix the name")
        for where, layout in layouts.items() if name in papers else ():
            _check_layout(f"{path}: published.{name}", papers[name], where, layout)
    for paper in papers.values():
        layouts = declared.published.get(paper.name, {})
        for where in places(paper):
            layout = layouts.get(where, Layout())
            if layout.rows or printed_in(paper, where):
                table = _published(paper, where, layout)
                out[table.name] = table
    return out


def places(paper: Paper) -> tuple[str, ...]:
    """The paper's tables and figures in its order, then all else that has numbers."""
    listed = [c.where for c in paper.contents]
    return tuple(dict.fromkeys([*listed, *(n.where for n in paper.numbers)]))


def _check_layout(key: str, paper: Paper, where: str, layout: Layout) -> None:
    if where not in places(paper):
        known = ", ".join(places(paper))
        raise UserError(f"{key}: {where!r} is not among the tables of {paper.name}; known: {known}")
    for row in layout.rows:
        if row not in paper.variants:
            raise UserError(f"{key}.{where}.rows: {row!r} is no variant of {paper.name}; fix it")
    if layout.rows and not (layout.columns or printed_in(paper, where)):
        raise UserError(f"{key}.{where}: rows without columns, and none is printed; add columns")


def _published(paper: Paper, where: str, layout: Layout) -> Table:
    """A table of the paper, with the columns of its layout or those that it prints."""
    content = next((c for c in paper.contents if c.where == where), Content(where=where))
    caption = next((n.caption for n in paper.numbers if n.where == where), content.says)
    return Table(
        name=f"{paper.name}-{slug(where)}",
        title=f"{paper.cite.label or paper.name}, {where}: {layout.title or caption}",
        columns=layout.columns or printed_in(paper, where),
        also=layout.also,
        rows=layout.rows,
        note=layout.note,
        paper=paper.name,
        where=where,
        lacks=content.lacks,
        came_from=content.source,
    )


def printed_in(paper: Paper, where: str) -> tuple[str, ...]:
    """The metrics that a published table prints, in its order."""
    cells = (row for n in paper.numbers if n.where == where for row in n.rows.values())
    return tuple(dict.fromkeys(metric for row in cells for metric in row))
