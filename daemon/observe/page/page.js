"use strict";
// Asks once a second, and shows what comes back: nothing is kept but a minute of each figure.
const points = 60;
const history = new Map();
let before = null;
let heard = performance.now();  // when there was news
let noted = heard;              // up to when the minute of each figure goes

const node = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const byId = (id) => document.getElementById(id);

const units = (value, steps) => {
  const [scale, name] = steps.findLast(([from]) => value >= from) ?? steps[0];
  const scaled = value / scale;
  return `${scaled.toFixed(scaled < 10 && scale > 1 ? 1 : 0)} ${name}`;
};
const count = (value) =>
  value === null || value === undefined || Number.isNaN(value) ? "–"
    : value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : value >= 1e4 ? `${(value / 1e3).toFixed(1)} k`
      : Number.isInteger(value) ? String(value) : value.toFixed(1);
const bytes = (value) => value === null || value === undefined ? "–"
  : units(value, [[1, "B"], [1024, "KiB"], [1048576, "MiB"], [1073741824, "GiB"]]);
const span = (ms) => {
  const seconds = Math.floor(ms / 1000);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
};

const line = (values) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${points - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const most = Math.max(1e-9, ...values.filter((value) => value !== null));
  let path = "";
  values.forEach((value, at) => {
    if (value === null) return;
    path += `${path && values[at - 1] !== null ? "L" : "M"}${points - values.length + at} ${19 - 18 * value / most}`;
  });
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
};

// A point is a second: those of which nothing is known are a gap.
const note = (name, value) => {
  const values = history.get(name) ?? [];
  values.push(Number.isFinite(value) ? value : null);
  if (values.length > points) values.shift();
  history.set(name, values);
  return values;
};
const noteGap = (seconds) => {
  for (let second = 0; second < Math.min(seconds, points); ++second)
    for (const name of history.keys()) note(name, null);
};
const secondsTo = (at) => {
  const seconds = Math.max(0, Math.round((at - noted) / 1000));
  noted = at;
  return seconds;
};

const tile = (name, value, shown, of) => {
  const values = note(name, value);
  const made = node("div", undefined, "tile");
  const figure = node("div", undefined, "value");
  figure.append(node("span", shown));
  if (of !== undefined) figure.append(node("span", ` of ${of}`, "of"));
  made.append(node("h3", name), figure, line(values));
  return made;
};

// A column: its heading, what stands in it, and of which kind that is.
const table = (id, columns, rows) => {
  const body = byId(id);
  const heading = node("tr");
  for (const [name, , kind] of columns) heading.append(node("th", name, kind === "number" ? "number" : ""));
  body.tHead.replaceChildren(heading);
  body.tBodies[0].replaceChildren(...rows.map((row) => {
    const made = node("tr");
    for (const [, content, kind] of columns) {
      const value = content(row);
      const [text, mark] = Array.isArray(value) ? value : [value, ""];
      made.append(node("td", text, [kind, mark].filter(Boolean).join(" ")));
    }
    return made;
  }));
  if (rows.length === 0) {
    const cell = node("td", "none");
    cell.colSpan = columns.length;
    const row = node("tr");
    row.append(cell);
    body.tBodies[0].replaceChildren(row);
  }
};

// A column where there is something in it: of peers and errors nobody may be told.
const details = (rows, heading, name, kind) => rows.some((row) => row[name]) ? [[heading, (row) => row[name] ?? "", kind]] : [];

// Of what was counted since the last answer: the bound of the bucket in which the slowest of that share are.
const share = (now, name, part) => {
  const sums = now.histogram_bounds_us.map(() => 0).concat(0);
  for (const listener of now.listeners) {
    const earlier = before?.status.listeners.find((each) => each.endpoint === listener.endpoint);
    listener[name]?.buckets.forEach((count, at) => { sums[at] += count - (earlier?.[name]?.buckets[at] ?? 0); });
  }
  const all = sums.reduce((one, other) => one + other, 0);
  let seen = 0;
  for (let at = 0; at < sums.length; ++at)
    if ((seen += sums[at]) >= part * all && all > 0) return (now.histogram_bounds_us[at] ?? Infinity) / 1000;
  return NaN;
};
const atMost = (ms) => Number.isNaN(ms) ? "–" : ms === Infinity ? "> 60 s" : `≤ ${ms < 1 ? `${ms * 1000} µs` : span(ms)}`;

const rate = (now, name, seconds) => before && seconds > 0 ? Math.max(0, now[name] - before.status[name]) / seconds : NaN;

const deaths = (now) => Object.values(now.deaths).reduce((one, other) => one + other, 0);
const causes = (now) => Object.entries(now.deaths).filter(([, times]) => times > 0).map(([cause, times]) => `${cause} ${times}`).join(" · ");
const used = (status) => status.cpu_ms + status.workers.reduce((sum, worker) => sum + (worker.cpu_ms ?? 0), 0);
const processors = (now, seconds) => before && seconds > 0 ? Math.max(0, used(now) - used(before.status)) / 1000 / seconds : NaN;

const show = (told, at) => {
  const now = told.status;
  noteGap(secondsTo(at) - 1);
  heard = at;
  document.body.classList.remove("old");
  const seconds = before ? (at - before.at) / 1000 : 0;
  byId("version").textContent = now.version;
  const ready = told.not_ready === null;
  byId("phase").textContent = now.phase;
  byId("phase").className = `badge ${now.phase === "running" ? (ready ? "good" : "bad") : "wait"}`;
  byId("readiness").textContent = ready ? "ready" : told.not_ready;
  byId("since").textContent = `generation ${now.generation} · up ${span(now.uptime_ms)} · master ${now.pid}`;

  const busy = now.workers.filter((worker) => worker.state === "busy" || worker.state === "hung").length;
  const streams = now.listeners.filter((listener) => listener.queue_unit === "connections");
  const sum = (name) => streams.reduce((all, listener) => all + (listener[name] ?? 0), 0);
  const accepted = rate(now, "connections_ever", seconds);
  const received = rate(now, "received_bytes", seconds);
  const sent = rate(now, "sent_bytes", seconds);
  const processor = processors(now, seconds);
  const waits = [share(now, "accept_wait", 0.5), share(now, "accept_wait", 0.99)];
  const longest = share(now, "duration", 0.99);
  byId("tiles").replaceChildren(
    tile("Connections a second", accepted, count(accepted)),
    tile("Open connections", now.connections, count(now.connections), count(now.connection_slots)),
    tile("Waiting in the queue", sum("queued"), count(sum("queued")), count(sum("queue_limit"))),
    tile("Wait in the queue, median", waits[0], atMost(waits[0])),
    tile("Wait in the queue, p99", waits[1], atMost(waits[1])),
    tile("Duration, p99", longest, atMost(longest)),
    tile("Busy workers", busy, count(busy), count(now.workers_wanted)),
    tile("Received a second", received, bytes(received || 0)),
    tile("Sent a second", sent, bytes(sent || 0)),
    tile("Processor time", processor, Number.isNaN(processor) ? "–" : `${(100 * processor).toFixed(0)} %`),
    tile("Deaths of workers", deaths(now), count(deaths(now))));
  byId("causes").textContent = causes(now);

  table("listeners", [
    ["Listener", (row) => row.endpoint],
    ["Serves", (row) => row.handler],
    ["Queued", (row) => [row.queue_unit === "bytes" ? bytes(row.queued) : count(row.queued), row.queued > 0 ? "wait" : ""], "number"],
    ["Queue limit", (row) => row.queue_unit === "bytes" ? bytes(row.queue_limit) : count(row.queue_limit), "number"],
    ["Open", (row) => count(row.connections), "number"],
    ["Most lately", (row) => count(row.connections_most), "number"],
    ["Accepted", (row) => count(row.accepted), "number"],
    ["Dropped", (row) => [count(row.dropped), row.dropped > 0 ? "bad" : ""], "number"],
    ["Received", (row) => bytes(row.received_bytes), "number"],
    ["Sent", (row) => bytes(row.sent_bytes), "number"],
    ["Remarks", (row) => row.lost ? ["its file was removed or replaced", "bad"] : row.passed ? "passed by systemd" : ""],
  ], now.listeners);
  table("workers", [
    ["Worker", (row) => row.number, "number"],
    ["Process", (row) => row.pid, "number"],
    ["Generation", (row) => row.generation ?? "–", "number"],
    ["State", (row) => [row.state, row.state === "hung" || row.state === "stopped" ? "bad" : ""]],
    ["For", (row) => span(row.state_ms), "number"],
    ["Age", (row) => span(row.age_ms), "number"],
    ["Open", (row) => count(row.connections), "number"],
    ["Served", (row) => count(row.served), "number"],
    ["Received", (row) => bytes(row.received_bytes), "number"],
    ["Sent", (row) => bytes(row.sent_bytes), "number"],
    ["Memory", (row) => bytes(row.resident_bytes), "number"],
    ...details(now.workers, "Last client", "last_peer"),
    ...details(now.workers, "Last error", "last_error", "text"),
  ], [...now.workers].sort((one, other) => one.number - other.number));
  table("deaths", [
    ["When", (row) => row.time],
    ["Worker", (row) => row.number, "number"],
    ["Process", (row) => row.pid, "number"],
    ["Cause", (row) => [row.cause, row.expected ? "" : "bad"], "text"],
    ["Ordered by", (row) => row.ordered_by ?? ""],
    ["Age", (row) => span(row.age_ms), "number"],
    ["Served", (row) => count(row.served), "number"],
  ], [...told.deaths].reverse());
  before = { at, status: now };
};

const showSilence = (at, why) => {
  noteGap(secondsTo(at));
  for (const each of byId("tiles").children) each.lastChild.replaceWith(line(history.get(each.firstChild.textContent)));
  document.body.classList.add("old");
  byId("phase").textContent = `no news for ${span(at - heard)}`;
  byId("phase").className = "badge bad";
  byId("readiness").textContent = why;
};

const ask = async () => {
  try {
    const answer = await fetch("page.json", { signal: AbortSignal.timeout(3000) });
    return answer.ok ? { told: await answer.json() } : { why: (await answer.text()).trim() };
  } catch {
    return { why: "preforkd does not answer" };
  }
};

const look = async () => {
  const { told, why } = await ask();
  if (told) show(told, performance.now());
  else showSilence(performance.now(), why);
  setTimeout(look, 1000);
};
look();
