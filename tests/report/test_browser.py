"""The page in a browser: it works, asks for nothing, and no number is cut on a screen or on paper."""

import csv
import io
from pathlib import Path

import pytest
from helpers import browser
from helpers.common import REPO

pytestmark = pytest.mark.skipif(
    not browser.executable(), reason="no Chromium here (Debian: apt-get install chromium)"
)
AXE = REPO / "node_modules" / "axe-core" / "axe.min.js"
TABLE2, GFLOPS = 'document.getElementById("side4video/table2")', "gflops"
SEEN = "(e) => !!e.offsetParent && getComputedStyle(e).visibility !== 'hidden'"


@pytest.fixture(scope="module")
def tab(made, tmp_path_factory):
    with browser.tab(tmp_path_factory.mktemp("browser")) as opened:
        opened.look(1280)
        opened.open(made.root / "report.html")
        yield opened


@pytest.fixture(autouse=True)
def fresh(tab, made):
    tab.look(1280)
    tab.run("history.replaceState(null, '', location.pathname)")
    tab.run("document.getElementById('filter').reset()")


def test_there_is_no_error_and_no_request(tab, made):
    tab.open(made.root / "report.html")
    assert tab.run("document.title") == "vidtune report, scale mini"
    asked = [p["request"]["url"] for m, p in tab.events if m == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:image/png;base64,")] == [
        (made.root / "report.html").resolve().as_uri()
    ]
    wrong = [p for m, p in tab.events if m in ("Runtime.exceptionThrown", "Log.entryAdded")]
    said = [p for m, p in tab.events if m == "Runtime.consoleAPICalled"]
    assert wrong == [] and said == []


def rows_of_table2(tab):
    return tab.run(
        f"[...{TABLE2}.querySelector('table.printed').tBodies[0].rows].filter({SEEN})"
        ".map((r) => [r.dataset.key, r.dataset.method, r.cells[2].dataset.print])"
    )


def test_a_click_on_a_heading_sorts_and_a_third_undoes_it(tab):
    before = rows_of_table2(tab)
    click = f"{TABLE2}.querySelector('th[data-key={GFLOPS}] button').click()"
    tab.run(click)
    up = [float(printed) for *_, printed in rows_of_table2(tab)]
    assert up == sorted(up) and len(up) == len(before)
    tab.run(click)
    assert [float(printed) for *_, printed in rows_of_table2(tab)] == up[::-1]
    tab.run(click)
    assert rows_of_table2(tab) == before


def set_filter(tab, **values):
    for name, value in values.items():
        tab.run(
            f"(() => {{ const e = document.getElementById('filter').elements['{name}'];"
            f"e.value = '{value}'; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
        )


def test_rows_are_filtered_by_method_dataset_verdict_and_words(tab):
    every = len(rows_of_table2(tab))
    set_filter(tab, method="aim")
    assert {method for _, method, _ in rows_of_table2(tab)} == {"aim"}
    set_filter(tab, text="l/14")
    assert [key for key, *_ in rows_of_table2(tab)] == ["aim-l14"]
    set_filter(tab, method="", text="", dataset="msvd")
    assert not tab.run(f"({SEEN})({TABLE2})")
    set_filter(tab, dataset="", verdict="off")
    verdicts = tab.run(
        f"[...document.querySelectorAll('table.form tbody tr:not(.block)')].filter({SEEN})"
        ".map((r) => r.dataset.verdicts)"
    )
    assert verdicts and all("off" in found.split("; ") for found in verdicts)
    tab.run(
        "new Promise((done) => { document.getElementById('filter').reset(); setTimeout(done); })"
    )
    assert len(rows_of_table2(tab)) == every


def test_what_is_seen_is_exported(tab):
    code = f"{TABLE2}.querySelector('table.printed').exported()"
    head, *lines = csv.reader(io.StringIO(tab.run(code)))
    assert head[:2] == ["variant", "Row"] and "GFLOPs (GMACs): print" in head
    assert len(lines) == len(rows_of_table2(tab)) and {len(line) for line in lines} == {len(head)}
    first = f"{TABLE2}.querySelectorAll('.bar input')[1].click()"  # the first metric
    tab.run(first)
    set_filter(tab, method="dist")
    fewer, *lines = csv.reader(io.StringIO(tab.run(code)))
    assert [name for name in head if name not in fewer] == [
        f"GFLOPs (GMACs): {what}" for what in ("print", "ours", "verdict")
    ]
    assert [line[0] for line in lines] == ["side4video/dist-b16", "side4video/dist-l14"]
    tab.run(first)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("side4video/table2/ours-b16/gflops", "side4video/table2/b16-ssv2/gflops"),
        ("side4video/table2/b16-ssv2/top-1", "side4video/table2/b16-ssv2/top1"),
        ("side4video/table2/ours-b16", "side4video/table2/b16-ssv2"),
        ("tempme/table13", "tempme/table13"),
        ("side4video/table2/nobody/gflops", "side4video/table2"),
        ("plot-gflops", "plot-gflops"),
        ("claims/tempme/fewer-gflops", "claims/tempme/fewer-gflops"),
    ],
)
def test_an_address_leads_to_its_place(tab, address, target):
    tab.run(
        "new Promise((done) => {"
        f"location.hash = '#{address}'; addEventListener('hashchange', () => setTimeout(done, 50)); }})"
    )
    found = tab.run(
        "(() => { const e = document.querySelector('.target'); const at = e.getBoundingClientRect();"
        "return [e.id, at.top < innerHeight && at.bottom > 0]; })()"
    )
    assert found == [target, True]


def test_footnotes_link_both_ways(tab):
    pairs = tab.run(
        "[...document.querySelectorAll('table.form sup a[id]')].map((a) => [a.id, a.hash.slice(1)])"
    )
    assert len(pairs) > 20
    known = tab.run(
        "Object.fromEntries([...document.querySelectorAll('.notes li')].map((n) =>"
        "[n.id, [...n.querySelectorAll('.back')].map((a) => decodeURIComponent(a.hash.slice(1)))]))"
    )
    back = {name for names in known.values() for name in names}
    assert all(note in known for _, note in pairs) and back <= {name for name, _ in pairs}
    assert all(known.values())


CUT = """(() => {
  const seen = (e) => e.offsetParent && e.getClientRects().length;
  const wide = [...document.querySelectorAll('td, th, .tiles dd, .chip, .dot')].filter(seen).filter((e) => {
    if (e.closest('details.all')) return false;
    const at = e.getBoundingClientRect();
    const inside = e.matches('td') && e.scrollWidth > e.clientWidth + 1;
    return inside || at.right > innerWidth + 0.5 || at.left < -0.5;
  });
  const boxes = [...document.querySelectorAll('.scroll')].filter(seen).filter((e) =>
    !e.closest('details.all') && e.scrollWidth > e.clientWidth + 1);
  return {
    page: document.scrollingElement.scrollWidth,
    cut: wide.slice(0, 5).map((e) => `${e.closest('section')?.id}: ${e.id || e.textContent.trim()}`),
    boxes: boxes.map((e) => e.getAttribute('aria-label')),
  };
})()"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_cut_at(tab, width, theme):
    tab.look(width, theme=theme)
    found = tab.run(CUT)
    assert found["page"] <= width and found["cut"] == [] and found["boxes"] == []


def test_all_columns_are_no_wider_than_the_page(tab):
    tab.run("document.querySelectorAll('details.all').forEach((d) => { d.open = true; })")
    for width in (400, 1280):
        tab.look(width)
        assert tab.run("document.scrollingElement.scrollWidth") <= width
    tab.run("document.querySelectorAll('details.all').forEach((d) => { d.open = false; })")


CONTRAST = """(() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const drawn = (colour, over) => {
    context.fillStyle = over; context.fillRect(0, 0, 1, 1);
    context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const behind = (e) => {
    const layers = [];
    for (let up = e; up; up = up.parentElement) layers.unshift(getComputedStyle(up).backgroundColor);
    return layers.reduce((over, colour) => `rgb(${drawn(colour, over)})`, 'white');
  };
  const light = (rgb) => rgb.map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const seen = new Map();
  const kinds = '.chip, .mark, .p, .o, th, .remark, p, nav a, .w-off, .w-match';
  for (const e of document.querySelectorAll(kinds)) {
    if (!e.offsetParent) continue;
    const back = behind(e);
    const [a, b] = [light(drawn(getComputedStyle(e).color, back)), light(drawn(back, 'white'))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) seen.set(e.className || e.tagName, ratio.toFixed(2));
  }
  return Object.fromEntries(seen);
})()"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_in_both_themes(tab, theme):
    tab.look(1280, theme=theme)
    assert tab.run(CONTRAST) == {}


def test_the_button_changes_the_theme(tab):
    shade = "getComputedStyle(document.body).backgroundColor"
    before = tab.run(shade)
    tab.run("document.getElementById('theme').click()")
    assert tab.run(shade) != before
    tab.run("document.getElementById('theme').click()")
    assert tab.run(shade) == before


def test_it_prints_without_cutting(tab):
    tab.look(1017, media="print")  # A4 on its side less the margins, in pixels
    found = tab.run(CUT)
    assert found["page"] <= 1017 and found["cut"] == [] and found["boxes"] == []
    tab.look(1280)
    assert tab.pdf().startswith(b"%PDF")


FEW = """for (const e of document.querySelectorAll('main > section, .sheet'))
  if (!['answer', 'tables', 'paper-side4video', 'side4video/table2'].includes(e.id)) e.remove();"""


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core here (npm install axe-core)")
def test_axe_finds_nothing_serious(tab, made):
    """In one section of each kind: of all tables it takes minutes."""
    tab.run(FEW)
    tab.run(Path(AXE).read_text(encoding="utf-8") + "; true")
    said = "axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))"
    assert [one for one in tab.run(said) if one[0] in ("serious", "critical")] == []
    tab.open(made.root / "report.html")
