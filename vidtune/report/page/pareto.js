// Any cost against any accuracy, with the front, drawn as SVG from the JSON beside it. Without scripts
// the static grid of plots stands alone.
(() => {
  const place = document.getElementById("pareto");
  const source = document.getElementById("pareto-data");
  if (!place || !source) return;
  const data = JSON.parse(source.textContent);
  const tip = document.getElementById("tip");
  const [WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM] = [760, 430, 58, 16, 12, 46];

  const make = (name, attributes, parent, text) => {
    const svg = ["svg", "g", "path", "line", "text"].includes(name);
    const node = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent?.append(node);
    return node;
  };

  const polygon = (corners, r, turn = 0, inner = r) =>
    `M${Array.from({ length: corners }, (_, k) => {
      const angle = turn + (2 * Math.PI * k) / corners - Math.PI / 2;
      const far = k % 2 ? inner : r;
      return `${(far * Math.cos(angle)).toFixed(2)} ${(far * Math.sin(angle)).toFixed(2)}`;
    }).join("L")}Z`;
  const SHAPES = {
    o: "M-4.6 0a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0-9.2 0Z",
    s: "M-4.2-4.2H4.2V4.2H-4.2Z",
    D: polygon(4, 5.6),
    "^": polygon(3, 5.6),
    v: polygon(3, 5.6, Math.PI),
    "<": polygon(3, 5.6, -Math.PI / 2),
    ">": polygon(3, 5.6, Math.PI / 2),
    P: "M-1.8-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
    X: polygon(8, 5.8, Math.PI / 4, 2.6),
    "*": polygon(10, 6.4, 0, 2.6),
    p: polygon(5, 5.2),
    h: polygon(6, 5.2),
    8: polygon(8, 5.2, Math.PI / 8),
  };
  const mark = (method, parent) => {
    const { colour, marker, hollow } = data.methods[method];
    const fill = hollow ? "var(--card)" : `var(--s${colour})`;
    return make("path", { d: SHAPES[marker] ?? SHAPES.o, fill, stroke: `var(--s${colour})`, "stroke-width": 1.4 }, parent);
  };

  const controls = make("div", { class: "controls" }, place);
  const choice = (label, options, chosen) => {
    const box = make("label", {}, controls, `${label} `);
    const select = make("select", {}, box);
    for (const [value, text] of Object.entries(options)) make("option", { value }, select, text);
    if (chosen) select.value = chosen;
    select.addEventListener("change", () => draw());
    return select;
  };
  const cost = choice("Cost", data.costs);
  const accuracy = choice("Accuracy", data.accuracies);
  const origin = choice("Numbers", data.sources, data.source);
  const dataset = choice("Dataset", {});
  const legend = make("div", { class: "controls", role: "group", "aria-label": "Methods" }, place);
  const boxes = Object.fromEntries(
    Object.keys(data.methods).map((method) => {
      const label = make("label", {}, legend);
      const box = make("input", { type: "checkbox", checked: "" }, label);
      mark(method, make("svg", { viewBox: "-7 -7 14 14", width: 14, height: 14, "aria-hidden": "true" }, label));
      label.append(` ${method}`);
      box.addEventListener("change", () => draw());
      return [method, box];
    }),
  );
  const svg = make("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group", "aria-label": "Accuracy against cost" }, place);
  const said = make("p", { class: "remark", "aria-live": "polite" }, place);

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const deviation = (values) =>
    values.length < 2 ? 0 : Math.sqrt(values.reduce((sum, v) => sum + (v - mean(values)) ** 2, 0) / (values.length - 1));
  const short = (x) => (x >= 100 ? Math.round(x).toLocaleString("en") : Number(x.toPrecision(3)).toString());

  // Numbers of two datasets say nothing about each other: one is shown.
  const offer = (names) => {
    const kept = names.includes(dataset.value) ? dataset.value : names[0];
    dataset.replaceChildren();
    for (const value of names) make("option", { value }, dataset, value);
    if (kept) dataset.value = kept;
    return kept;
  };

  const select = () => {
    const [task, metric] = accuracy.value.split(" ");
    const known = data.points
      .filter((p) => p.task === task && p.costs[cost.value] > 0)
      .map((p) => {
        const seeds = origin.value === "learned" ? p.learned[metric] : metric in p.printed ? [p.printed[metric]] : undefined;
        return seeds && { ...p, x: p.costs[cost.value], y: mean(seeds), sd: deviation(seeds), seeds: seeds.length };
      })
      .filter(Boolean);
    const on = offer([...new Set(known.map((p) => p.data[origin.value]))]);
    return known
      .filter((p) => p.data[origin.value] === on && boxes[p.method].checked)
      .sort((a, b) => a.x - b.x || b.y - a.y);
  };

  // The variants that no other is both cheaper (or as cheap) and more accurate than, by rising cost.
  const frontOf = (shown) => {
    const more = data.moreIsBetter.includes(cost.value);
    const order = more ? [...shown].sort((a, b) => b.x - a.x || b.y - a.y) : shown;
    let best = -Infinity;
    const front = order.filter((p) => p.y > best && ((best = p.y), true));
    return more ? front.reverse() : front;
  };

  const ticks = (low, high) => {
    const raw = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((n) => n * power >= raw);
    return Array.from({ length: 12 }, (_, k) => (Math.ceil(low / step) + k) * step).filter((t) => t <= high);
  };
  const decades = (low, high) => {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
      for (const n of high / low < 100 ? [1, 2, 5] : [1, 3]) found.push(n * 10 ** e);
    return found.filter((t) => t >= low && t <= high);
  };

  const describe = (p, front) => {
    const spread = p.seeds > 1 ? ` ± ${p.sd.toFixed(1)} (${p.seeds} seeds)` : "";
    const under = p.conditions[cost.value] ? `; ${p.conditions[cost.value]}` : "";
    return `${p.variant} (${p.method}, ${p.backbone}): ${data.costs[cost.value]} ${short(p.x)}${under}; ` +
      `${data.accuracies[accuracy.value]} ${p.y.toFixed(1)}${spread}, ${data.sources[origin.value]} on ${p.data[origin.value]}${front.includes(p) ? "; on the front" : ""}`;
  };

  function draw() {
    svg.replaceChildren();
    tip.hidden = true;
    const shown = select();
    const front = frontOf(shown);
    said.textContent = shown.length
      ? `${shown.length} variants; on the front: ${front.map((p) => p.variant).join(", ")}.`
      : "No variant has both of these numbers.";
    if (!shown.length) return;
    const [x0, x1] = [shown[0].x / 1.25, shown.at(-1).x * 1.25];
    const lows = shown.map((p) => p.y - p.sd);
    const highs = shown.map((p) => p.y + p.sd);
    const pad = 0.06 * (Math.max(...highs) - Math.min(...lows)) || 1;
    const [y0, y1] = [Math.min(...lows) - pad, Math.max(...highs) + pad];
    const x = (v) => LEFT + ((WIDE - LEFT - RIGHT) * Math.log(v / x0)) / Math.log(x1 / x0);
    const y = (v) => HIGH - BOTTOM - ((HIGH - TOP - BOTTOM) * (v - y0)) / (y1 - y0);
    const axis = { stroke: "var(--line)" };
    for (const t of decades(x0, x1)) {
      make("line", { ...axis, x1: x(t), x2: x(t), y1: TOP, y2: HIGH - BOTTOM }, svg);
      make("text", { x: x(t), y: HIGH - BOTTOM + 16, "text-anchor": "middle" }, svg, short(t));
    }
    for (const t of ticks(y0, y1)) {
      make("line", { ...axis, x1: LEFT, x2: WIDE - RIGHT, y1: y(t), y2: y(t) }, svg);
      make("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end" }, svg, short(t));
    }
    make("text", { x: (LEFT + WIDE) / 2, y: HIGH - 8, "text-anchor": "middle" }, svg, data.costs[cost.value]);
    make("text", { transform: `translate(13 ${HIGH / 2}) rotate(-90)`, "text-anchor": "middle" }, svg, data.accuracies[accuracy.value]);
    const more = data.moreIsBetter.includes(cost.value);
    const steps = front.map((p, k) => (k === 0 ? `M${x(p.x)} ${y(p.y)}` : more ? `V${y(p.y)}H${x(p.x)}` : `H${x(p.x)}V${y(p.y)}`));
    make("path", { d: steps.join(""), fill: "none", stroke: "var(--ink)" }, svg);
    const nodes = shown.map((p, k) => {
      const label = describe(p, front);
      const g = make("g", { transform: `translate(${x(p.x)} ${y(p.y)})`, tabindex: k ? -1 : 0, role: "img", "aria-label": label }, svg);
      if (p.sd) make("line", { y1: y(p.y + p.sd) - y(p.y), y2: y(p.y - p.sd) - y(p.y), stroke: `var(--s${data.methods[p.method].colour})` }, g);
      mark(p.method, g);
      const show = () => {
        tip.textContent = label;
        tip.hidden = false;
        const at = g.getBoundingClientRect();
        tip.style.top = `${at.bottom + 6}px`;
        tip.style.left = `${Math.max(6, Math.min(at.left, innerWidth - tip.getBoundingClientRect().width - 6))}px`;
      };
      const hide = () => { tip.hidden = true; };
      for (const event of ["pointerenter", "focus"]) g.addEventListener(event, show);
      for (const event of ["pointerleave", "blur"]) g.addEventListener(event, hide);
      return g;
    });
    for (const [k, g] of nodes.entries())
      g.addEventListener("keydown", (e) => {
        const to = nodes[k + ({ ArrowLeft: -1, ArrowRight: 1 }[e.key] ?? NaN)];
        if (!to) return;
        e.preventDefault();
        g.tabIndex = -1;
        to.tabIndex = 0;
        to.focus();
      });
  }

  place.hidden = false;
  draw();
})();
