// Theme, tooltips on hover and focus, arrow keys between cells, sorting. The page reads without it.
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
  button.addEventListener("click", () => { root.dataset.theme = store(dark() ? "light" : "dark") ?? (dark() ? "light" : "dark"); label(); });
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
  for (const cell of document.querySelectorAll("td[title]")) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
    cell.tabIndex = -1; // one stop per table; arrow keys inside
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
      const neighbour = row?.cells[column];
      if (!neighbour) return null;
      if (neighbour.dataset.tip) return neighbour;
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
    const text = cell.dataset.v ?? cell.textContent.trim();
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
      body.toggleAttribute("data-sorted", now !== "none");
      body.append(...rows);
    });
  }
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
