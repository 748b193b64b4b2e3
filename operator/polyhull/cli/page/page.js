"use strict";
// Draws the plan that stands in #data. Everything from it enters the page by textContent, never as markup.

const plan = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");
const details = document.getElementById("details");
const tip = document.getElementById("tip");
const MOST_ZOOM = 400;
const bars = new Map(); // what a bar shows ("job:3", "move:0") -> its elements
let zoom = 1;
let opened = null; // the bar whose details are open

// ---- small helpers

function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "style") for (const [key, to] of Object.entries(value)) element.style.setProperty(key, to);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function drawn(tag, given) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  return element;
}

const two = (number) => String(number).padStart(2, "0");

function duration(seconds) {
  if (Math.abs(seconds) < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function scaled(value, units, step) {
  let i = 0;
  while (Math.abs(value) >= step * 0.9995 && i < units.length - 1) { value /= step; i += 1; }
  return `${Number(value.toPrecision(3))} ${units[i]}`;
}

const bytes = (count) => scaled(count, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
const speed = (bits) => scaled(bits, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"], 1000);
const percent = (share) => `${(100 * share).toFixed(Math.abs(share) < 0.1 ? 1 : 0)} %`;
const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
const title = (thing) => `${thing.namespace}/${thing.name}`;
const share = (seconds) => `${(100 * seconds) / plan.horizon}%`;

// ---- the head of the page

function cards() {
  const told = plan.summary;
  const proof = told.gap === null
    ? make("p", { class: "quiet", text: told.boundWords })
    : make("p", { class: "quiet", text: `No plan can do it under ${duration(told.bound)}: ${told.boundWords}.` });
  const staged = plan.moves.filter((move) => !move.streamed).length;
  const counts = [
    count(plan.jobs.length, "job"),
    plan.services.length ? count(plan.services.length, "service") : "",
    staged ? `${count(staged, "transfer")}, ${bytes(told.egressBytes)} over links` : "no data copied",
    staged < plan.moves.length ? `${count(plan.moves.length - staged, "streamed read")}` : "",
    told.late ? `${told.late} late` : "",
    plan.unplaced.length ? `${plan.unplaced.length} not placed` : "",
  ].filter(Boolean).join(" · ");
  if (!plan.jobs.length) {
    return make("section", { class: "cards", "aria-label": "Summary" },
      make("div", { class: "card wide" },
        make("p", { class: "figure", text: told.nothing }),
        make("p", { class: "quiet", text: counts })));
  }
  return make("section", { class: "cards", "aria-label": "Summary" },
    make("div", { class: "card" },
      make("h2", { text: "Everything finishes in" }),
      make("p", { class: "figure", text: duration(told.makespan) }),
      make("p", { class: "quiet", text: counts }),
      told.spending ? make("p", { class: "quiet", text: told.spending }) : null),
    make("div", { class: "card" },
      make("h2", { text: "Gap to the best there can be" }),
      make("p", { class: `figure${told.gap !== null && told.gap <= 0.02 ? " good" : ""}`, text: told.gap === null ? "not proved" : percent(told.gap) }),
      proof,
      make("p", { class: "quiet", text: `Bound: ${told.boundKind}. Objective: ${told.objective.join(", then ")}.` })),
    comparison(told));
}

function comparison(told) {
  const rows = [["this plan", told.makespan, "plan"], ...told.rivals.map((rival) => [rival.name, rival.seconds, "rival"])];
  const longest = Math.max(...rows.map((row) => row[1]), 1e-9);
  const body = make("div", { class: "compare" });
  for (const [name, seconds, kind] of rows) {
    const times = told.makespan > 0 && kind === "rival" ? `, ${(seconds / told.makespan).toFixed(2)} x` : "";
    body.append(make("div", {},
      make("span", { text: name }),
      make("div", { class: `meter ${kind}` },
        make("i", { style: { width: `${(100 * seconds) / longest}%` } }),
        kind === "plan" && told.bound !== null ? make("b", { style: { left: `${(100 * told.bound) / longest}%` }, title: `bound ${duration(told.bound)}` }) : null),
      make("span", { class: "number", text: `${duration(seconds)}${times}` })));
  }
  return make("div", { class: "card wide" }, make("h2", { text: "Beside simpler ways of thinking" }), body,
    make("p", { class: "quiet", text: "Through the same ordering on the same network. The mark is the lower bound." }));
}

function alerts() {
  const lines = plan.violations.map((text) => ["Rejected by the checker", text]);
  for (const one of plan.unplaced) lines.push([title(one), `${one.reason}: ${one.message}`]);
  if (!lines.length) return null;
  const list = make("ul");
  for (const [name, text] of lines) list.append(make("li", {}, make("strong", { text: name }), ` ${text}`));
  return make("section", { class: "alert", "aria-label": "Not placed" },
    make("h2", { text: plan.violations.length ? "Do not apply" : `${plan.unplaced.length} not placed` }), list);
}

// ---- the chart

/** Puts intervals into as few lanes as there are at once; gives the number of lanes and sets `lane` of each. */
function packed(items) {
  const ends = [];
  for (const item of [...items].sort((a, b) => a.start - b.start || a.end - b.end)) {
    let lane = ends.findIndex((end) => end <= item.start + 1e-9);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = item.end;
    item.lane = lane;
  }
  return ends.length;
}

const laneHeight = (lanes) => (lanes <= 8 ? 20 : lanes <= 20 ? 15 : 9);

function bar(item, top, height) {
  const { key, thing, kind } = item;
  const element = make("button", {
    type: "button", class: `bar ${kind}${thing.running ? " running" : ""}${thing.late > 0 ? " late" : ""}${thing.streamed ? " streamed" : ""}${height < 13 ? " thin" : ""}`,
    tabindex: -1, "aria-label": label(key, thing), "data-key": key,
    style: { left: share(item.start), width: share(item.end - item.start), top: `${top + 1}px`, height: `${height - 2}px` },
  });
  if (key.startsWith("job") && thing.startup > 0 && thing.end > thing.start) {
    element.style.setProperty("--startup", `${Math.min(100, (100 * thing.startup) / (thing.end - thing.start))}%`);
  }
  if (height >= 13) element.append(make("span", { text: thing.name }));
  if (!bars.has(key)) bars.set(key, []);
  bars.get(key).push(element);
  return element;
}

function label(key, thing) {
  const from = thing.running ? "running" : `from ${duration(thing.start)}`;
  const where = key.startsWith("job") ? `in ${thing.pool}` : `${thing.from} to ${thing.to}`;
  return `${title(thing)}, ${where}, ${from} to ${duration(thing.end)}`;
}

function area(load, most, height) {
  const picture = drawn("svg", { class: "load", viewBox: `0 0 1000 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const points = [`M0 ${height}`];
  let before = 0;
  for (const [at, amount] of load) {
    const x = ((1000 * at) / plan.horizon).toFixed(2);
    points.push(`L${x} ${(height - before).toFixed(2)}`);
    before = most > 0 ? Math.min(1, amount / most) * height : 0;
    points.push(`L${x} ${(height - before).toFixed(2)}`);
  }
  points.push(`L1000 ${(height - before).toFixed(2)}`, `L1000 ${height}Z`);
  picture.append(drawn("path", { d: points.join("") }));
  return picture;
}

/** Mean share in use until everything is done. */
function used(load, most) {
  let total = 0;
  load.forEach(([at, amount], i) => { total += amount * ((load[i + 1]?.[0] ?? plan.horizon) - at); });
  return most > 0 ? total / (most * plan.horizon) : 0;
}

const LOAD = 18;

function row(name, facts, load, most, items, more) {
  const lanes = packed(items);
  const height = laneHeight(lanes);
  const track = make("div", { class: "track", style: { height: `${LOAD + Math.max(1, lanes) * height + 6}px` } }, area(load, most, LOAD));
  for (const item of items) track.append(bar(item, LOAD + 3 + item.lane * height, height));
  const head = make("div", { class: "label" }, make("strong", { text: name, title: name }), make("small", { text: facts, title: facts }));
  if (more) head.append(more);
  return make("div", { class: "row" }, head, track);
}

function poolRow(pool) {
  const mine = plan.jobs.map((thing, i) => ({ key: `job:${i}`, thing, place: thing.places.find((place) => place.pool === pool.name), kind: thing.class, start: thing.start, end: thing.end })).filter((item) => item.place);
  const most = pool.devices + pool.growth;
  const facts = `${most} ${pool.accelerator}, ${percent(used(pool.load, most))} in use${pool.serving ? `, ${pool.serving} serve` : ""}`;
  const byNode = mine.some((item) => item.place.nodes.length) && make("button", { type: "button", class: "link", text: "nodes", "aria-expanded": "false", title: "Show each node" });
  const element = row(pool.name, facts, pool.load, most, mine, byNode || null);
  if (byNode) byNode.addEventListener("click", () => nodes(element, pool, mine, byNode));
  return element;
}

/** Unfolds a pool into its nodes, or folds it again. */
function nodes(element, pool, mine, button) {
  const open = button.getAttribute("aria-expanded") === "false";
  button.setAttribute("aria-expanded", String(open));
  element.parentElement.querySelectorAll(":scope > .node").forEach((old) => {
    if (old.dataset.pool !== pool.name) return;
    old.querySelectorAll(".bar").forEach((gone) => forget(gone));
    old.remove();
  });
  if (!open) return;
  const byNode = new Map();
  for (const item of mine) for (const [name, pods] of item.place.nodes) {
    if (!byNode.has(name)) byNode.set(name, []);
    byNode.get(name).push({ ...item, pods });
  }
  let after = element;
  for (const name of [...byNode.keys()].sort()) {
    const items = byNode.get(name);
    const changes = items.flatMap((item) => [[item.start, item.pods * item.place.perReplica], [item.end, -item.pods * item.place.perReplica]]);
    const most = Math.max(...items.map((item) => item.pods * item.place.perReplica), pool.devices / Math.max(1, byNode.size));
    const line = row(name, `${count(items.length, "job")}`, steps(changes), most, items, null);
    line.classList.add("node");
    line.dataset.pool = pool.name;
    after.after(line);
    after = line;
  }
  search();
}

function forget(element) {
  const kept = bars.get(element.dataset.key).filter((other) => other !== element);
  bars.set(element.dataset.key, kept);
}

function steps(changes) {
  let total = 0;
  const out = [[0, 0]];
  for (const [at, by] of changes.sort((a, b) => a[0] - b[0])) out.push([at, (total += by)]);
  return out;
}

function linkRow(link) {
  const items = plan.moves.map((thing, i) => ({ key: `move:${i}`, thing, kind: "move", start: thing.start, end: thing.end })).filter((item) => item.thing.links.includes(link.name));
  const facts = `${link.from} to ${link.to}, ${speed(link.bandwidth)}, ${percent(used(link.load, link.bandwidth))} in use${link.serving ? `, ${speed(link.serving)} of requests` : ""}`;
  return row(link.name, facts, link.load, link.bandwidth, items, null);
}

function group(name, rows, idle) {
  const head = make("div", { class: "group" }, make("h3", { text: name }));
  const box = make("div", { class: "rows" }, head, ...rows);
  if (!idle.length) return box;
  const rest = make("div", { hidden: true }, ...idle);
  const more = make("button", {
    type: "button", class: "link", text: `${idle.length} idle`, "aria-expanded": "false",
    onclick: () => { rest.hidden = !rest.hidden; more.setAttribute("aria-expanded", String(!rest.hidden)); },
  });
  head.firstChild.append(" ", more);
  box.append(rest);
  return box;
}

function chart() {
  const busy = (load) => load.some(([, amount]) => amount > 0);
  const axis = make("div", { class: "axis" }, make("div", { class: "label corner" }), make("div", { class: "ticks", id: "ticks" }));
  const lines = make("div", { class: "lines", id: "lines", "aria-hidden": "true" });
  const plane = make("div", { class: "plane", id: "plane" }, axis, lines,
    group("Pools", plan.pools.filter((pool) => busy(pool.load)).map(poolRow), plan.pools.filter((pool) => !busy(pool.load)).map(poolRow)),
    plan.links.length ? group("Links", plan.links.filter((link) => busy(link.load)).map(linkRow), plan.links.filter((link) => !busy(link.load)).map(linkRow)) : null);
  const box = make("div", { class: "chart", id: "chart", role: "group", "aria-label": "Time line of pools and links. Arrow keys go from bar to bar, Enter opens details, plus and minus zoom." }, plane);
  const zooms = make("div", { class: "zooms" },
    legend(),
    make("button", { type: "button", text: "−", "aria-label": "Zoom out", onclick: () => zoomTo(zoom / 1.6) }),
    make("button", { type: "button", text: "Fit", "aria-label": "Show all of it", onclick: () => zoomTo(1) }),
    make("button", { type: "button", text: "+", "aria-label": "Zoom in", onclick: () => zoomTo(zoom * 1.6) }));
  return make("section", { class: "time" }, make("div", { class: "bar-head" }, make("h2", { text: "Who runs where and when" }), zooms), box);
}

function legend() {
  const kinds = [...new Set(plan.jobs.map((job) => job.class))].sort();
  const box = make("div", { class: "legend" });
  for (const kind of kinds) box.append(make("span", {}, make("i", { class: `bar ${kind}` }), kind || "other"));
  if (plan.moves.length) box.append(make("span", {}, make("i", { class: "bar move" }), "transfer"));
  if (plan.summary.bound) box.append(make("span", {}, make("i", { class: "mark" }), "lower bound"));
  return box;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];

function ticks() {
  const place = document.getElementById("ticks");
  const lines = document.getElementById("lines");
  const pixels = place.getBoundingClientRect().width || 1;
  let step = STEPS.find((each) => (each / plan.horizon) * pixels >= 84) ?? plan.horizon;
  while ((step / plan.horizon) * pixels < 84) step *= 10;
  place.replaceChildren();
  lines.replaceChildren();
  const marks = Math.min(2000, Math.floor(plan.horizon / step));
  for (let i = 0; i <= marks; i += 1) {
    const at = share(i * step);
    place.append(make("span", { style: { left: at }, text: i ? tick(i * step, step) : "now" }));
    lines.append(make("i", { style: { left: at } }));
  }
  const told = plan.summary;
  if (told.bound) lines.append(make("i", { class: "bound", style: { left: share(told.bound) } }));
  lines.append(make("i", { class: "end", style: { left: share(told.makespan) } }));
}

function tick(seconds, step) {
  if (step < 60) return seconds % 60 ? `${seconds % 3600 < 60 ? "" : `${Math.floor(seconds / 60)}:`}${seconds < 60 ? `${seconds} s` : two(seconds % 60)}` : `${seconds / 60} min`;
  if (step < 3600 && seconds < 3600) return `${seconds / 60} min`;
  const hours = Math.floor(seconds / 3600);
  if (step < 86400) return `${hours}:${two(Math.floor((seconds % 3600) / 60))} h`;
  return `${Number((seconds / 86400).toFixed(1))} d`;
}

function zoomTo(wanted, at = 0.5) {
  const box = document.getElementById("chart");
  const plane = document.getElementById("plane");
  const side = plane.querySelector(".label").getBoundingClientRect().width;
  const seen = box.clientWidth - side;
  const middle = (box.scrollLeft + seen * at) / (seen * zoom);
  zoom = Math.min(MOST_ZOOM, Math.max(1, wanted));
  plane.style.setProperty("--zoom", zoom);
  box.scrollLeft = middle * seen * zoom - seen * at;
  ticks();
}

// ---- moving about in the chart

function listen(box) {
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const side = box.querySelector(".label").getBoundingClientRect();
    const at = (event.clientX - side.right) / Math.max(1, box.clientWidth - side.width);
    zoomTo(zoom * Math.exp(-event.deltaY / 300), Math.min(1, Math.max(0, at)));
  }, { passive: false });
  let drag = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType !== "mouse" || event.target.closest("button, .label")) return;
    drag = { x: event.clientX + box.scrollLeft, y: event.clientY + box.scrollTop };
    box.setPointerCapture(event.pointerId);
    box.classList.add("dragged");
  });
  box.addEventListener("pointermove", (event) => {
    if (drag) { box.scrollLeft = drag.x - event.clientX; box.scrollTop = drag.y - event.clientY; }
  });
  for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, () => { drag = null; box.classList.remove("dragged"); });
  box.addEventListener("keydown", keys);
  box.addEventListener("click", (event) => { const hit = event.target.closest(".bar[data-key]"); if (hit) show(hit); });
  for (const name of ["pointerover", "focusin"]) box.addEventListener(name, (event) => { const hit = event.target.closest(".bar[data-key]"); if (hit) hint(hit, event); });
  for (const name of ["pointerout", "focusout", "scroll"]) box.addEventListener(name, () => { tip.hidden = true; });
}

function keys(event) {
  if (event.key === "+" || event.key === "=") return zoomTo(zoom * 1.6);
  if (event.key === "-") return zoomTo(zoom / 1.6);
  if (event.key === "0") return zoomTo(1);
  const here = event.target.closest(".bar[data-key]");
  const next = here && neighbour(here, event.key);
  if (!next) return undefined;
  event.preventDefault();
  reach(next);
  return undefined;
}

/** The bar left or right in time on the same row, or nearest in time on the next row with any. */
function neighbour(here, key) {
  const all = [...here.closest(".track").querySelectorAll(".bar:not(.dim)")].sort((a, b) => starts(a) - starts(b) || a.offsetTop - b.offsetTop);
  if (key === "ArrowRight" || key === "ArrowLeft") return all[all.indexOf(here) + (key === "ArrowRight" ? 1 : -1)];
  if (key === "Home") return all[0];
  if (key === "End") return all[all.length - 1];
  if (key !== "ArrowDown" && key !== "ArrowUp") return null;
  const tracks = [...document.querySelectorAll("#plane .track")].filter((track) => track.offsetParent && track.querySelector(".bar:not(.dim)"));
  const other = tracks[tracks.indexOf(here.closest(".track")) + (key === "ArrowDown" ? 1 : -1)];
  if (!other) return null;
  const distance = (element) => Math.abs(starts(element) - starts(here));
  return [...other.querySelectorAll(".bar:not(.dim)")].reduce((best, one) => (distance(one) < distance(best) ? one : best));
}

const starts = (element) => parseFloat(element.style.left);

/** One bar of the chart is in the tab order: the one reached last. */
function reach(element) {
  document.querySelectorAll('.chart .bar[tabindex="0"]').forEach((old) => old.setAttribute("tabindex", "-1"));
  element.setAttribute("tabindex", "0");
  element.focus({ preventScroll: true });
  into(element);
}

function into(element) {
  const box = document.getElementById("chart");
  const side = box.querySelector(".label").getBoundingClientRect().width;
  const outer = box.getBoundingClientRect();
  const inner = element.getBoundingClientRect();
  if (inner.left < outer.left + side || inner.left > outer.right - 40) box.scrollLeft += inner.left - outer.left - side - 40;
  if (inner.top < outer.top + 30) box.scrollTop += inner.top - outer.top - 60;
  if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom + 20;
}

function hint(element, event) {
  const thing = found(element.dataset.key);
  const lines = element.dataset.key.startsWith("job")
    ? [title(thing), `${thing.devices} ${thing.accelerator} in ${thing.pool}`, span(thing), thing.binds]
    : [title(thing), `${bytes(thing.bytes)} at ${speed(thing.rate)}`, `${thing.from} to ${thing.to}`, span(thing)];
  tip.replaceChildren(...lines.filter(Boolean).map((text, i) => make(i ? "div" : "strong", { text })));
  tip.hidden = false;
  const at = element.getBoundingClientRect();
  const x = event.type === "pointerover" ? event.clientX + 14 : Math.max(at.left, 8);
  const size = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x, window.innerWidth - size.width - 12))}px`;
  const below = at.bottom + 8;
  tip.style.top = `${below + size.height > window.innerHeight ? Math.max(8, at.top - size.height - 8) : below}px`;
}

const span = (thing) => `${thing.running ? "running" : duration(thing.start)} to ${duration(thing.end)}`;

function found(key) {
  const [kind, index] = key.split(":");
  return (kind === "job" ? plan.jobs : plan.moves)[Number(index)];
}

// ---- details

function show(element) {
  tip.hidden = true;
  opened = element;
  const key = element.dataset.key;
  mark(key);
  details.replaceChildren(
    make("button", { type: "button", class: "close", text: "×", "aria-label": "Close details", onclick: hide }),
    ...(key.startsWith("job") ? ofJob(found(key)) : ofMove(found(key), Number(key.split(":")[1]))));
  details.hidden = false;
  document.body.classList.add("with-details");
  details.focus({ preventScroll: true });
}

function hide() {
  details.hidden = true;
  document.body.classList.remove("with-details");
  mark(null);
  if (opened && opened.isConnected) opened.focus({ preventScroll: true });
  opened = null;
}

/** The chosen bar, and what belongs to it: a job's transfers, a transfer's readers. */
function mark(key) {
  document.querySelectorAll(".chosen, .related").forEach((old) => old.classList.remove("chosen", "related"));
  if (key === null) return;
  bars.get(key).forEach((element) => element.classList.add("chosen"));
  const index = Number(key.split(":")[1]);
  const others = key.startsWith("job") ? found(key).moves.map((i) => `move:${i}`) : plan.jobs.flatMap((job, i) => (job.moves.includes(index) ? [`job:${i}`] : []));
  for (const other of others) (bars.get(other) ?? []).forEach((element) => element.classList.add("related"));
}

function facts(pairs) {
  const list = make("dl");
  for (const [name, value] of pairs) if (value) list.append(make("dt", { text: name }), make("dd", { text: value }));
  return list;
}

function ofJob(job) {
  const total = job.seconds.reduce((sum, [, value]) => sum + value, 0) || 1;
  const split = make("div", { class: "split", role: "img", "aria-label": job.seconds.map(([name, value]) => `${name} ${duration(value)}`).join(", ") });
  const keysOfSplit = make("ul", { class: "keys" });
  for (const [name, value] of job.seconds) {
    if (value <= 0) continue;
    split.append(make("i", { class: name, style: { width: `${(100 * value) / total}%` } }));
    keysOfSplit.append(make("li", {}, make("i", { class: name }), ` ${name} ${duration(value)}`));
  }
  return [
    make("h2", { text: title(job) }),
    facts([
      ...job.places.flatMap((place) => [
        ["runs", `${place.option} on ${place.replicas} x ${place.perReplica} ${place.accelerator}`],
        ["where", `${place.pool}, site ${place.site}`],
      ]),
      ["when", span(job)],
      ["released", job.observed ? "no: its namespace is only observed" : ""],
      ["deadline", job.deadline === null ? "" : `${duration(job.deadline)}${job.late > 0 ? `, missed by ${duration(job.late)}` : ""}`],
      ["rate", job.evidence ? `${job.evidence}, not measured` : ""],
    ]),
    make("h3", { text: "Its seconds" }), split, keysOfSplit,
    make("h3", { text: "What binds" }), make("p", { text: job.binds || "Nothing holds it up." }),
    job.remedy ? make("p", { class: "quiet", text: job.remedy }) : null,
    ...listed("Next best", job.alternatives.map((one) => [`${one.option} in ${one.pool}`, one.later < 0.05 ? "no later" : `${duration(one.later)} later`])),
    ...listed("What would help", job.helps.map((one) => [one.change, one.sooner === null ? "it finds a place" : `${duration(one.sooner)} sooner`])),
    ...listed("Its data", job.moves.map((i) => [`${plan.moves[i].name}, ${bytes(plan.moves[i].bytes)}`, plan.moves[i].streamed ? "read while computing" : `there at ${duration(plan.moves[i].end)}`])),
    ...listed("Nodes", job.places.flatMap((place) => place.nodes).map(([name, pods]) => [name, count(pods, "pod")])),
  ].filter(Boolean);
}

function ofMove(move, index) {
  const readers = plan.jobs.filter((job) => job.moves.includes(index));
  return [
    make("h2", { text: title(move) }),
    facts([
      ["from", move.from], ["to", move.to], ["over", move.links.join(" > ") || `inside ${move.to}`],
      ["size", bytes(move.bytes)], ["rate", speed(move.rate)], ["when", span(move)], ["how", move.streamed ? "read while computing" : "a whole copy ahead of its readers"],
    ]),
    ...listed("Read by", readers.map((job) => [title(job), `starts at ${duration(job.start)}`])),
  ];
}

function listed(name, rows) {
  if (!rows.length) return [];
  const table = make("table");
  for (const [left, right] of rows) table.append(make("tr", {}, make("td", { text: left }), make("td", { class: "number", text: right })));
  return [make("h3", { text: name }), table];
}

// ---- tables

const COLUMNS = [
  ["Job", (job) => title(job)], ["Pool", (job) => job.pool], ["Option", (job) => job.option],
  ["Devices", (job) => job.devices, (job) => `${job.devices}`], ["Start", (job) => job.start, (job) => (job.running ? "running" : duration(job.start))],
  ["Finish", (job) => job.end, (job) => duration(job.end)], ["Why", (job) => job.binds],
];
let sorted = { column: 4, down: false };

function table() {
  const head = make("tr");
  COLUMNS.forEach(([name], i) => head.append(make("th", { scope: "col" }, make("button", { type: "button", text: name, onclick: () => sort(i) }))));
  const body = make("tbody", { id: "rows" });
  plan.jobs.forEach((job, i) => {
    const line = make("tr", { "data-key": `job:${i}` });
    COLUMNS.forEach(([name, value, text], k) => {
      const said = (text ?? value)(job);
      const number = k >= 3 && k <= 5;
      if (k) line.append(make("td", { class: number ? "number" : name === "Why" ? "why" : "", text: said }));
      else line.append(make("td", {}, make("button", { type: "button", class: "link", text: said, onclick: () => { const hit = bars.get(`job:${i}`)[0]; into(hit); show(hit); } })));
    });
    body.append(line);
  });
  return make("section", { class: "jobs" }, make("h2", { text: "Jobs" }),
    make("div", { class: "scroll" }, make("table", { id: "jobs" }, make("thead", {}, head), body)));
}

function sort(column) {
  sorted = { column, down: sorted.column === column && !sorted.down };
  order();
}

function order() {
  const value = COLUMNS[sorted.column][1];
  const rows = [...document.getElementById("rows").children];
  const compare = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
  rows.sort((a, b) => (sorted.down ? -1 : 1) * compare(value(found(a.dataset.key)), value(found(b.dataset.key))));
  document.getElementById("rows").append(...rows);
  document.querySelectorAll("#jobs th").forEach((head, i) => {
    if (i === sorted.column) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function plainTable(name, note, heads, rows) {
  if (!rows.length) return null;
  const head = make("tr");
  heads.forEach((each) => head.append(make("th", { scope: "col", text: each })));
  const body = make("tbody");
  for (const cells of rows) {
    const line = make("tr");
    cells.forEach((cell, i) => line.append(make("td", { class: i === cells.length - 1 ? "number" : "", text: cell })));
    body.append(line);
  }
  return make("section", { class: "half" }, make("h2", { text: name }), note ? make("p", { class: "quiet", text: note }) : null,
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), body)));
}

function prices() {
  return plainTable("What binds the whole plan", "Shadow prices of the lower bound: by how much it falls. They are no promise about the plan.",
    ["resource", "", "bound sooner by"], plan.prices.slice(0, 12).map((price) => [price.name, price.unit, duration(price.sooner)]));
}

function services() {
  return plainTable("Services", "", ["service", "pool", "variant", "replicas"], plan.services.flatMap((one) => one.parts.map((part) => [title(one), part.pool, part.variant, String(part.replicas)])));
}

// ---- search

function words(key) {
  const thing = found(key);
  const more = key.startsWith("job")
    ? [thing.pool, thing.option, thing.accelerator, thing.class, ...thing.places.map((place) => place.site), ...thing.moves.map((i) => plan.moves[i].name)]
    : [thing.from, thing.to, ...thing.links];
  return [title(thing), ...more].join(" ").toLowerCase();
}

const texts = new Map();

function search() {
  const asked = document.getElementById("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const holds = (key) => {
    if (!texts.has(key)) texts.set(key, words(key));
    return asked.every((word) => texts.get(key).includes(word));
  };
  let hits = 0;
  for (const [key, elements] of bars) {
    const hit = holds(key);
    hits += hit && key.startsWith("job") ? 1 : 0;
    for (const element of elements) element.classList.toggle("dim", !hit);
  }
  for (const line of document.getElementById("rows").children) line.hidden = !holds(line.dataset.key);
  document.getElementById("found").textContent = asked.length ? `${hits} of ${count(plan.jobs.length, "job")}` : "";
}

// ---- all of it

function begin() {
  const when = plan.takenAt > 86400 ? `, seen ${new Date(plan.takenAt * 1000).toISOString().replace("T", " ").slice(0, 16)} UTC` : "";
  document.getElementById("about").textContent = `Plan ${plan.planHash.slice(0, 12)}${when}`;
  document.getElementById("foot").textContent = `${plan.program}. ${plan.summary.status}. Times count from the moment the plan was made.`;
  const rest = [prices(), services()].filter(Boolean);
  main.append(...[cards(), alerts(), chart(), table(), rest.length ? make("div", { class: "halves" }, ...rest) : null].filter(Boolean));
  order();
  ticks();
  listen(document.getElementById("chart"));
  document.querySelector(".chart .bar")?.setAttribute("tabindex", "0");
  document.getElementById("search").addEventListener("input", search);
  document.getElementById("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !details.hidden) hide();
    if (event.key === "/" && !event.target.closest("input")) { event.preventDefault(); document.getElementById("search").focus(); }
  });
  window.addEventListener("resize", ticks);
  window.addEventListener("beforeprint", () => zoomTo(1));
}

begin();
