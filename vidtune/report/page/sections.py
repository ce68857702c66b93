"""The page's sections around tables and plots: summary, guide, claims, failures, citations."""

import platform
from collections import Counter
from html import escape

from vidtune import __version__, provenance
from vidtune.plan import Plan
from vidtune.report.claims import Finding
from vidtune.report.numbers.outcomes import Facts
from vidtune.report.numbers.rows import Row
from vidtune.report.page.markup import chip, plain, tag
from vidtune.report.verdicts import VERDICTS, Cell
from vidtune.spec import Citation, Paper

KINDS = {
    "counted": "follows from the architecture alone (parameters, GFLOPs, tokens): computed at the "
    "papers' full size, without weights, data or a GPU.",
    "measured": "read from a device (memory, throughput): here by `make bench-gpu`, or before and "
    "kept under results/reference. Comparable with print where batch, frames and precision agree, "
    "speed on the same GPU only.",
    "predicted": "memory followed on fake tensors through a training step, without a GPU, under a "
    "named convention: raw GiB, and apart from it GB fitted to printed rows. It stands beside "
    "printed memory, decides the memory claims, and never a cell's verdict.",
    "learned": "comes out of training (accuracy, recall): learned at the scale at hand, which its "
    "column names, and never mixed with what the paper learned.",
    "setting": "chosen, not found (rates, epochs, sizes): ours is what the configuration says.",
}
MEANINGS = {
    "match": "counted, measured: inside the metric's bound of print; a setting, or learned at full "
    "scale: as "
    "printed.",
    "near": "learned at full scale: within two standard deviations of print.",
    "off": "neither. The reason, where there is one, is a footnote.",
    "subset": "learned on too small a share of the data.",
    "not comparable": "ours exists, but was learned at another scale, measured under other "
    "conditions, or chosen to agree.",
    "not run": "there is no number of ours, for the reason its cell gives.",
}
STATUSES = ("holds", "fails", "within noise", "not judged")


def summary(plan: Plan, cells: list[Cell], found: list[Finding], facts: Facts) -> str:
    """What was run at which scale, and how it went."""
    runs = f"{facts.done} of {len(plan.runs)} runs evaluated"
    failed = f", {len(facts.failed)} failed" if facts.failed else ", none failed"
    says = (
        f"Scale {plan.scale.name}: {plan.scale.says}. {runs}{failed}; {facts.counted} of "
        f"{len(plan.models)} models counted at the papers' full size."
    )
    counted = [c for c in cells if c.kind == "counted" and c.verdict != "not run"]
    matched = sum(c.verdict == "match" for c in counted)
    tests = [f for f in found if f.kind == "counted" and f.ours != "not judged"]
    learned = [f for f in found if f.kind == "learned"]
    judged = [f for f in learned if f.ours != "not judged"]
    tiles = [
        (f"{matched} / {len(counted)}", "counted cells that match print, of those we can count"),
        (
            f"{sum(f.ours == 'holds' for f in tests)} / {len(tests)}",
            "tests of counted claims that hold",
        ),
        (
            f"{len(judged)} / {len(learned)}",
            f"tests of learned claims judged at scale {plan.scale.name}",
        ),
        (_span(sum(facts.seconds.values())), "of computing, all jobs together, one after another"),
    ]
    boxes = (tag("div", tag("dd", escape(big)), tag("dt", escape(small))) for big, small in tiles)
    return "".join(
        [
            tag("p", escape(says), class_="lead"),
            tag("dl", *boxes, class_="tiles"),
            tag("h3", "Verdicts on the published cells"),
            _tally([(c.kind, c.verdict) for c in cells], VERDICTS, "Verdicts by kind"),
            tag("h3", "Verdicts on the claims' tests, with our numbers"),
            _tally([(f.kind, f.ours) for f in found], STATUSES, "Claims by kind"),
            _made_with(facts),
        ]
    )


def _tally(pairs: list[tuple[str, str]], words: tuple[str, ...], label: str) -> str:
    counts = Counter(pairs)
    kinds = [k for k in KINDS if any(kind == k for kind, _ in counts)]
    rows = [
        [
            escape(kind),
            *(
                tag("b", str(n)) if (n := counts[kind, w]) else tag("span", "0", class_="nothing")
                for w in words
            ),
        ]
        for kind in kinds
    ]
    return tag("div", plain(["kind", *words], rows, label), class_="tally")


def _made_with(facts: Facts) -> str:
    versions = ", ".join(f"{k} {' / '.join(v)}" for k, v in facts.versions.items())
    page = f"vidtune {__version__} {provenance.commit()}".strip()
    lines = {
        "Commit of the results": " / ".join(facts.commits) or "unknown",
        "Versions": versions or "unknown",
        "Trained on": " / ".join(facts.devices) or "nothing yet",
        "Computing": ", ".join(f"{k} {_span(s)}" for k, s in facts.seconds.items()) or "none yet",
        "This page": f"{page}, Python {platform.python_version()}",
    }
    pairs = (tag("dt", escape(k)) + tag("dd", escape(v)) for k, v in lines.items())
    return tag("h3", "Made with") + tag("dl", *pairs, class_="words")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def guide(plan: Plan) -> str:
    """Verdicts, kinds, scale."""
    verdicts = "".join(tag("dt", chip(v)) + tag("dd", escape(MEANINGS[v])) for v in VERDICTS)
    kinds = "".join(tag("dt", tag("b", k)) + tag("dd", escape(text)) for k, text in KINDS.items())
    how = (
        "Every published number stands beside ours. Point at a cell, or reach it with Tab and the "
        "arrow keys, to see where it comes from: the paper's table and its conditions, or the "
        "results file with scale, device, seeds, number of test clips and the digest of the code "
        "that decides it. A click on a heading sorts."
    )
    backbones = ", ".join(sorted({r.model.backbone.name for r in plan.runs.values()})) or "none"
    scale = (
        f"Learned numbers on this page are of scale {plan.scale.name}: {plan.scale.says}. Options "
        f"are declared for the paper's backbone and mapped to this scale's ({backbones}); each row "
        "shows both. A mean comes with its standard deviation over seeds; their number stands "
        "in brackets."
    )
    return "".join(
        [
            tag("p", escape(how)),
            tag("p", escape(scale)),
            tag(
                "div",
                tag("dl", verdicts, class_="words"),
                tag("dl", kinds, class_="words"),
                class_="two",
            ),
        ]
    )


def claims(found: list[Finding]) -> str:
    """Each test of each claim: with the paper's own numbers, and with ours."""
    rows, last = [], ""
    for f in found:
        first = f.claim != last  # repeated for whoever sorts, but quietly
        says = tag("b" if first else "span", escape(f.says), class_=None if first else "again")
        says += tag("small", escape(f.where))
        last = f.claim
        detail = tag("small", escape(f.detail))
        rows.append([says, escape(f.test), escape(f.kind), chip(f.paper), chip(f.ours) + detail])
    head = ["Claim", "Test", "Kind", "Paper's own numbers", "Ours"]
    return tag("div", plain(head, rows, "Claims"), class_="claims")


def contradictions(paper: Paper) -> str:
    """Where a paper disagrees with itself, with its code, or with what can be counted."""
    rows = [
        [
            tag("b", escape(c.where)),
            escape(c.says),
            escape(c.against),
            escape(c.note) + "".join(tag("small", tag("code", escape(cell))) for cell in c.cells),
        ]
        for c in paper.contradictions
    ]
    head = ["Where", "Says", "Against it", "What we follow; cells it touches"]
    return tag("div", plain(head, rows, "Contradictions"), class_="claims")


def failures(plan: Plan, facts: Facts) -> str:
    """Runs that diverged or ran out of memory: results, too."""
    if not facts.failed:
        return tag("p", "No run diverged or ran out of memory.")
    rows = [
        [
            tag("code", escape(n)),
            chip(status),
            tag("code", escape(str(plan.root / "runs" / n / "train.json"))),
        ]
        for n, status in facts.failed.items()
    ]
    return plain(["Run", "Ended", "Facts"], rows, "Failed runs")


def stale(rows: list[Row]) -> str:
    """Results whose code has changed since."""
    files = Counter(r.where for r in rows if r.stale)
    if not files:
        return tag("p", "No result is older than the code that decides it.")
    head = tag(
        "p", "Made by code that has changed since: ", tag("code", "vidtune stale"), " lists them."
    )
    body = [[tag("code", escape(w)), str(n)] for w, n in sorted(files.items())]
    return head + plain(["Results file", "Numbers"], body, "Stale results")


def citations(plan: Plan) -> str:
    return "".join(_citation(paper.cite) for paper in plan.config.papers.values())


def _citation(c: Citation) -> str:
    repository, _, commit = c.code.partition("@")
    at = f"/tree/{commit}" if commit else ""
    bibtex = (
        f"@misc{{{c.key},\n  title = {{{c.title}}},\n  eprint = {{{c.arxiv}}},\n"
        f"  archivePrefix = {{arXiv}},\n  note = {{{c.venue or 'arXiv'}}}\n}}"
    )
    links = [
        tag("a", escape(f"arXiv:{c.arxiv}"), href=f"https://arxiv.org/abs/{c.arxiv}"),
        tag("a", escape(c.code), href=f"https://github.com/{repository}{at}"),
    ]
    return tag(
        "p", tag("b", escape(c.title)), f". {escape(c.venue or '')} ", ", ".join(links)
    ) + tag("pre", escape(bibtex))
