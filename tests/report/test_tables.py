"""Tables of a configuration with another paper or other tables than the declared ones."""

from vidtune.plan import load
from vidtune.report import tables


def test_another_papers_variant_joins_the_matching_tables(config):
    """A new paper's file is enough for its row in the overview and in the published table."""
    (config / "papers" / "mine.yaml").write_text(
        "cite: {key: me, title: Mine, arxiv: '0000.00000', code: me/mine@1}\n"
        "variants:\n  first: {method: lora, backbone: vit-b32, dataset: msrvtt, frames: 12, "
        "recipe: tempme-retrieval}\n"
    )
    plan = load(config, {"papers": ["side4video", "tempme", "mine"]})
    has = {t.name for t in tables.build(plan, []) if "mine/first" in {r.variant for r in t.rows}}
    assert {"retrieval", "tempme-table1"} <= has


def test_a_published_table_needs_no_declaration(config):
    path = config / "tables.yaml"
    path.write_text(path.read_text().replace("    Table 9: *parts\n", ""))
    plan = load(config)
    table = next(t for t in tables.build(plan, []) if t.name == "tempme-table9")
    printed = [c.metric for c in table.columns if c.what == "print"]
    assert printed == ["gflops", "r1", "rsum"]
