// The built-in status page: polls /status and follows /events. It shows and changes nothing. Every text from the daemon
// goes in through textContent, never as markup. Money stays the string that it came as.

const POLL_MS = 1000;
const EVENTS_SHOWN = 200;
const KINDS = ["order", "fill", "mode", "kill_switch", "supervision", "market", "alert", "command", "reload", "daemon"];
const MODES = { Normal: "good", ReduceOnly: "warn", CancelOnly: "warn", Halted: "bad" };

const byId = (id) => document.getElementById(id);

function cell(text, ...classes) {
  const td = document.createElement("td");
  td.textContent = text ?? "–";
  td.classList.add(...classes.filter(Boolean));
  return td;
}

function fill(id, rows) {
  const body = byId(id).tBodies[0];
  body.replaceChildren(...rows.map((cells) => {
    const tr = document.createElement("tr");
    tr.append(...cells);
    return tr;
  }));
}

function badge(id, text, tone) {
  const element = byId(id);
  element.textContent = text;
  element.className = `badge ${tone}`;
}

const mode = (name) => cell(name, MODES[name]);
const number = (value, ...classes) => cell(value === null || value === undefined ? "–" : String(value), "n", ...classes);
const sign = (money) => (money === null ? "dim" : money.startsWith("-") ? "bad" : /[1-9]/.test(money) ? "good" : "dim");
const age = (ms) => (ms === null ? "–" : ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);
const restarts = (count) => number(count, count > 0 ? "warn" : "dim");

function duration(seconds) {
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  return d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${m} min` : m > 0 ? `${m} min ${s} s` : `${s} s`;
}

function positions(account) {
  const open = account.positions.filter((position) => /[1-9]/.test(position.quantity));
  return open.map((position) => `${position.symbol} ${position.quantity} @ ${position.entry_price}`).join(", ") || "flat";
}

function show(status) {
  badge("mode", status.kill_switch.tripped ? `${status.mode}: ${status.kill_switch.cause ?? "kill switch"}` : status.mode, MODES[status.mode]);
  byId("summary").textContent = `${status.ready ? "ready" : "not ready"} · up ${duration(status.uptime_seconds)} · epoch ${status.epoch} · ${status.build.version}`;
  fill("accounts", status.accounts.map((a) => [cell(a.name), mode(a.mode), number(a.equity), number(a.day_pnl, sign(a.day_pnl)),
    number(a.orders), number(a.open_orders), number(a.fills), cell(positions(a))]));
  fill("symbols", status.symbols.map((s) => [cell(s.name), mode(s.mode), number(s.bid), number(s.ask), number(s.last),
    number(age(s.age_ms), s.stale ? "bad" : "dim")]));
  fill("strategies", status.strategies.map((s) => [cell(s.id), cell(s.kind), cell(s.running ? s.mode : "stopped", s.running ? MODES[s.mode] : "dim"),
    number(s.signals), number(s.refused)]));
  fill("alerts", status.alerts.map((a) => [number(a.id), cell(a.severity, a.severity === "critical" ? "bad" : "warn"), cell(a.kind),
    number(a.times), cell(new Date(a.raised_at / 1e6).toISOString().slice(11, 19)), cell(a.text)]));
  byId("alerting").hidden = status.alerts.length === 0;
  fill("children", status.children.map((c) => [cell(c.name), cell(c.state, c.state === "ready" ? "good" : "warn"), number(c.incarnation),
    restarts(c.restarts), number(c.mailbox)]));
}

let newest = -1;

function append(event) {
  if (event.id <= newest) return;
  newest = event.id;
  const line = document.createElement("li");
  line.textContent = `${new Date(event.at / 1e6).toISOString().slice(11, 23)}  ${event.kind}  ${event.text}`;
  const list = byId("events");
  list.prepend(line);
  while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild.remove();
}

async function poll() {
  try {
    const response = await fetch("/status", { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    // A daemon that was restarted counts its events anew.
    if ((status.events.at(-1)?.id ?? newest) < newest) newest = -1;
    show(status);
    status.events.forEach(append);
    badge("link", "live", "good");
  } catch {
    badge("link", "no answer", "bad");
  }
  setTimeout(poll, POLL_MS);
}

function follow() {
  const source = new EventSource("/events");
  const receive = (message) => append(JSON.parse(message.data));
  for (const kind of KINDS) source.addEventListener(kind, receive);
  // Too slow, or the stream ended: the poll shows the present meanwhile.
  source.addEventListener("lagged", () => { source.close(); setTimeout(follow, POLL_MS); });
}

poll();
follow();
