// Theme, tooltips, arrow keys between cells, sorting, filter, columns, export, addresses. The page reads
// without it.
"use strict";

(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const store = (value) => {
    try { // storage may be closed to local files
      if (value) localStorage.setItem("vidtune-theme", value);
      return localStorage.getItem("vidtune-theme");
    } catch { return null; }
  };
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  const kept = store();
  if (kept) root.dataset.theme = kept;
  button.hidden = false;
  button.setAttribute("aria-label", "Switch between light and dark");
  button.addEventListener("click", () => {
    const wanted = dark() ? "light" : "dark";
    root.dataset.theme = store(wanted) ?? wanted;
    label();
  });
  label();
})();

(() => {
  const tip = document.getElementById("tip");
  const hide = () => { tip.hidden = true; };
  const show = (cell) => {
    tip.textContent = cell.dataset.tip;
    tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const size = tip.getBoundingClientRect();
    const below = at.bottom + 6 + size.height < innerHeight;
    tip.style.top = `${Math.max(6, below ? at.bottom + 6 : at.top - size.height - 6)}px`;
    tip.style.left = `${Math.max(6, Math.min(at.left, innerWidth - size.width - 6))}px`;
  };
  for (const cell of document.querySelectorAll("td[title], .dot[title]")) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
    if (cell.matches("td")) cell.tabIndex = -1; // one stop per table; arrow keys inside
    cell.setAttribute("aria-describedby", "tip");
    cell.addEventListener("pointerenter", () => show(cell));
    cell.addEventListener("pointerleave", hide);
    cell.addEventListener("focus", () => show(cell));
    cell.addEventListener("blur", hide);
  }
  addEventListener("scroll", hide, { capture: true, passive: true });
  addEventListener("keydown", (e) => { if (e.key === "Escape") hide(); });

  const across = { ArrowLeft: -1, ArrowRight: 1 };
  const along = { ArrowUp: -1, ArrowDown: 1 };
  const next = (cell, key) => {
    let row = cell.parentElement;
    let column = cell.cellIndex;
    const rows = row.parentElement.rows;
    let line = Array.prototype.indexOf.call(rows, row);
    for (;;) {
      column += across[key] ?? 0;
      line += along[key] ?? 0;
      row = rows[line];
      if (!row || column < 0 || column > 99) return null;
      const neighbour = row.cells[column];
      if (!neighbour && across[key]) return null;
      if (neighbour?.dataset.tip && neighbour.offsetParent) return neighbour;
    }
  };
  for (const table of document.querySelectorAll("table")) {
    const first = table.querySelector("td[data-tip]");
    if (first) first.tabIndex = 0;
    table.addEventListener("keydown", (e) => {
      const cell = e.target.closest("td[data-tip]");
      if (!cell || !(e.key in across || e.key in along)) return;
      e.preventDefault();
      const to = next(cell, e.key);
      if (!to) return;
      cell.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    });
  }
})();

(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell?.dataset.v ?? cell?.textContent.trim() ?? "";
    if (text === "" || text === "–") return null;
    return Number.isNaN(Number(text)) ? text : Number(text);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    // where the head is hidden, on narrow screens, every cell names its column
    const names = [...table.tHead.rows[0].cells].map((c) => c.querySelector("button")?.firstChild.textContent ?? "");
    for (const row of original)
      if (!row.classList.contains("block"))
        [...row.cells].forEach((cell, k) => { cell.dataset.label = names[k] ?? ""; });
    table.tHead.addEventListener("click", (e) => {
      const button = e.target.closest("button");
      if (!button) return;
      const head = button.parentElement;
      const was = head.getAttribute("aria-sort");
      const now = { none: "ascending", ascending: "descending", descending: "none" }[was];
      for (const other of table.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", now);
      const column = Number(button.dataset.column);
      const sign = now === "descending" ? -1 : 1;
      const rows = [...original];
      if (now !== "none")
        rows.sort((p, q) => {
          const a = value(p, column);
          const b = value(q, column);
          if (a === null || b === null) return (a === null) - (b === null); // empty cells come last
          return sign * compare(a, b);
        });
      body.toggleAttribute("data-sorted", now !== "none"); // captions of parts are hidden meanwhile
      body.append(...rows);
    });
  }
})();

(() => {
  const form = document.getElementById("filter");
  const rows = [...document.querySelectorAll("table.form tbody tr:not(.block)")];
  const verdicts = (row) => (row.dataset.verdicts ? row.dataset.verdicts.split("; ") : []);
  const values = { verdict: verdicts };
  for (const key of ["method", "backbone", "dataset"]) values[key] = (row) => [row.dataset[key]];
  for (const [key, of] of Object.entries(values)) {
    const known = [...new Set(rows.flatMap(of))].filter(Boolean).sort();
    form.elements[key].append(...known.map((text) => new Option(text, text)));
  }
  const text = (row) => `${row.dataset.key} ${row.textContent}`.toLowerCase();
  const apply = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const asked = Object.entries(values).filter(([key]) => form.elements[key].value);
    const active = words.length > 0 || asked.length > 0;
    for (const row of rows) {
      const fits = asked.every(([key, of]) => of(row).includes(form.elements[key].value));
      row.hidden = active && !(fits && words.every((word) => text(row).includes(word)));
    }
    for (const block of document.querySelectorAll("tr.block")) {
      let next = block.nextElementSibling;
      while (next && next.hidden) next = next.nextElementSibling;
      block.hidden = active && (!next || next.classList.contains("block"));
    }
    for (const sheet of document.querySelectorAll(".sheet"))
      sheet.hidden = active && !sheet.querySelector("tbody tr:not(.block):not([hidden])");
    const seen = document.querySelectorAll("table.printed tbody tr:not(.block):not([hidden])").length;
    form.querySelector("output").textContent = active ? `${seen} rows as printed` : "";
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (e) => e.preventDefault());

  // which columns are seen, and a file of what is seen
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const plain = (cell) => {
    const copy = cell.cloneNode(true);
    for (const part of copy.querySelectorAll("sup, small, .mark")) part.remove();
    const said = copy.textContent.replace(/\s+/g, " ").trim();
    return said === "–" ? "" : said;
  };
  const exported = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const seen = heads.map((_, k) => k).filter((k) => !heads[k].hidden);
    const isPair = (k) => "key" in heads[k].dataset;
    const name = (k) => [...heads[k].querySelector("button").childNodes].map((n) => n.textContent).join(", ");
    const first = (k) => heads[k].querySelector("button").firstChild.textContent;
    const lines = [
      ["variant", ...seen.flatMap((k) => (isPair(k) ? ["print", "ours", "verdict"].map((w) => `${first(k)}: ${w}`) : [name(k)]))],
    ];
    for (const row of table.tBodies[0].rows) {
      if (row.hidden || row.classList.contains("block")) continue;
      const cell = (k) => row.cells[k];
      lines.push([
        row.dataset.variant ?? row.dataset.key,
        ...seen.flatMap((k) =>
          isPair(k)
            ? [cell(k).dataset.print ?? "", cell(k).dataset.ours ?? "", cell(k).dataset.verdict ?? ""]
            : [plain(cell(k))],
        ),
      ]);
    }
    return `${lines.map((line) => line.map(quoted).join(",")).join("\n")}\n`;
  };
  for (const table of document.querySelectorAll("table.form")) {
    const bar = document.createElement("div");
    bar.className = "bar";
    const choose = document.createElement("details");
    choose.innerHTML = "<summary>Columns</summary>";
    [...table.tHead.rows[0].cells].forEach((head, k) => {
      if (k === 0) return;
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      label.append(box, ` ${[...head.querySelector("button").childNodes].map((n) => n.textContent).join(", ")}`);
      box.addEventListener("change", () => {
        for (const row of [table.tHead.rows[0], ...table.tBodies[0].rows])
          if (!row.classList.contains("block")) row.cells[k].hidden = !box.checked;
      });
      choose.append(label);
    });
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "csv of what is seen" });
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([exported(table)], { type: "text/csv" }));
      link.download = `${table.dataset.name}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    bar.append(choose, button);
    table.closest(".scroll").after(bar);
    table.exported = () => exported(table);
  }
})();

(() => {
  // "side4video/table2/ours-b16/gflops": a row by its name or its label, a column by its metric or label
  const resolve = (hash) => {
    const name = decodeURIComponent(hash.replace(/^#/, ""));
    const exact = document.getElementById(name);
    if (exact || !name.includes("/")) return exact;
    const [paper, place, row, column] = name.toLowerCase().split("/");
    const sheet = document.getElementById(`${paper}/${place}`);
    const table = sheet?.querySelector("table.printed");
    const named = (element, wanted) =>
      [element.dataset.key, element.dataset.alias].some((known) => known?.toLowerCase() === wanted);
    const rows = table && row ? [...table.tBodies[0].rows].filter((r) => named(r, row)) : [];
    if (rows.length !== 1) return sheet;
    const k = [...table.tHead.rows[0].cells].findIndex((c) => column && named(c, column));
    return k < 0 ? rows[0] : rows[0].cells[k];
  };
  const go = () => {
    for (const old of document.querySelectorAll(".target")) old.classList.remove("target");
    const target = location.hash.length > 1 && resolve(location.hash);
    if (!target) return;
    if (target.closest("[hidden]")) document.getElementById("filter").reset();
    for (let up = target; up; up = up.parentElement) if (up.matches("details")) up.open = true;
    target.classList.add("target");
    // a filter is undone in a task of its own; then there is something to scroll to
    setTimeout(() => {
      target.scrollIntoView({ block: target.matches("td, tr, li, sup a") ? "center" : "start" });
      if (target.matches("td")) target.focus({ preventScroll: true });
    });
  };
  addEventListener("hashchange", go);
  go();
  document.addEventListener("click", (e) => {
    const cell = e.target.closest("td[id]");
    if (!cell || e.target.closest("a, button") || !getSelection().isCollapsed) return;
    history.replaceState(null, "", `#${cell.id}`);
    for (const old of document.querySelectorAll(".target")) old.classList.remove("target");
    cell.classList.add("target");
  });
})();

(() => {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const a of links.values()) a.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);
})();
