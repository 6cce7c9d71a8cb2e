// The page: what is chosen is asked for, and shown. Each part is a module of its own.

import { Problem, ask, curlLine, picturePath } from "./api.js";
import { makeCopyButtons } from "./copying.js";
import { compareOf, makeDayPicker, showDays } from "./day_picker.js";
import { makeKeyPicker } from "./key_picker.js";
import { makeKeyboard, sentenceOf } from "./keyboard.js";
import { markTitle, showOrigins } from "./origins.js";
import { isOpen, pictureOf } from "./picture.js";
import { edgesOf } from "./scale.js";
import { canMark, chosenIndex, makeScreen } from "./screen.js";
import { fromQuery, toQuery } from "./state.js";
import { showStatus } from "./status.js";
import { onSchemeChange } from "./theme.js";
import { forgetToken } from "./token.js";
import { dateAt, datesOf, hourSeconds, hourText, isZone, timeAt } from "./zones.js";

const REFRESH_MS = 10_000;
const STATUS_MS = 10_000;

/** So much longer than an answer took is the pause before it is asked for again. */
const PAUSE_FACTOR = 20;

const element = (id) => document.getElementById(id);
const say = (text) => {
  element("live").textContent = text;
};
const now = () => Date.now() / 1000;

let state = stateOfUrl();
let lastAnswer = null;
let asking = new AbortController();
let tracing = new AbortController();
let refreshing = 0;
const screen = makeScreen(() => state, { onOpen: open, onMark: mark });

function stateOfUrl() {
  const found = fromQuery(location.search);
  return isZone(found.tz) ? found : { ...found, tz: "UTC" };
}

/** Take a change over: into the URL, and onto the page. */
function change(part, { push = false } = {}) {
  const before = state;
  state = { ...state, ...part };
  const url = toQuery(state) ? `?${toQuery(state)}` : location.pathname;
  if (push) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
  const differs = (name) => state[name] !== before[name];
  if (["key", "day", "tz", "compare"].some(differs)) load();
  else if (differs("view") && screen.shown()) screen.draw(screen.shown().picture);
  else screen.redraw();
  if (differs("mark") && screen.shown()) trace();
}

/** A change that the way back leads over. */
const choose = (part) => change({ mark: null, ...part }, { push: true });

/** Ask for the picture, and draw it. */
async function load({ isRefresh = false } = {}) {
  clearTimeout(refreshing);
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  // Not what somebody is typing just now.
  if (document.activeElement !== element("key")) element("key").value = state.key;
  showDays(state);
  document.title = state.key ? `${state.key} · metrics` : "metrics";
  document.body.classList.toggle("loading", !isRefresh);
  const begun = performance.now();
  try {
    if (!state.key) await startSomewhere(signal);
    else await show(signal, isRefresh);
    if (screen.shown() && isOpen(screen.shown().picture)) refreshLater(PAUSE_FACTOR * (performance.now() - begun));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    showProblem(error.message);
    if (error.status === 0 || error.status >= 500) refreshLater(0);
  } finally {
    if (!signal.aborted) document.body.classList.remove("loading");
  }
}

async function show(signal, isRefresh) {
  const [from, to] = datesOf(state.day, state.tz, now());
  const compare = compareOf(state);
  const path = picturePath(state.key, from === to ? from : `${from}..${to}`, {
    ...(state.tz === "UTC" ? {} : { tz: state.tz }),
    ...(compare ? { compare } : {}),
  });
  element("curl").textContent = curlLine(path);
  const answer = await ask(path, { signal, keep: true });
  signal.throwIfAborted();
  showProblem("");
  element("freshness").textContent = `${timeAt(now(), state.tz)} ${state.tz}`;
  if (answer !== lastAnswer || !isRefresh) {
    screen.draw(pictureOf(answer, from, state.tz, now()));
    trace();
  }
  lastAnswer = answer;
  const { whole } = screen.shown().picture;
  if (!isRefresh) say(`${state.key}: ${whole ? `${whole.count} messages` : "no messages"}`);
  if (!whole) await sayWhereMessagesAre(signal);
}

/** Ask again in a while, once somebody looks. */
function refreshLater(leastMs) {
  clearTimeout(refreshing);
  refreshing = setTimeout(() => {
    if (document.hidden) document.addEventListener("visibilitychange", () => load({ isRefresh: true }), { once: true });
    else load({ isRefresh: true });
  }, Math.max(REFRESH_MS, leastMs));
}

/** Without a key in the URL: the key whose messages are newest. */
async function startSomewhere(signal) {
  const { keys } = await ask("keys?limit=1000", { signal });
  signal.throwIfAborted();
  if (keys.length) {
    change({ key: keys.reduce((best, each) => (each.newest_hour > best.newest_hour ? each : best)).key });
    return;
  }
  document.body.classList.add("empty");
  element("title").textContent = "No messages yet";
  element("curl").textContent = `curl ${location.protocol}//${location.hostname}:8000/messages -d 'checkout.web-1,98.1'`;
  refreshLater(0);
}

/** Where there is nothing, say when the key had its newest messages. */
async function sayWhereMessagesAre(signal) {
  const prefix = state.key.replace(/\*$/, "");
  const { keys } = await ask(`keys?${new URLSearchParams({ prefix, limit: "1000" })}`, { signal });
  const hours = keys.filter(({ key }) => prefix !== state.key || key === prefix).map((each) => each.newest_hour);
  const newest = hours.sort().at(-1);
  const text = newest ? `No messages of ${state.key} on these days. Its newest are of ${newest.replace("T", ", ")}:00 UTC.` : `No key ${prefix === state.key ? "is named" : "begins with"} ${prefix}.`;
  showProblem(text, { isNotice: true });
}

function open(index) {
  const { picture } = screen.shown();
  change({ hour: hourText(picture.columns[index].start) });
  say(`Opened: ${sentenceOf(picture, index)}`);
}

/** Mark whole hours and rows. */
function mark({ first, last, low, high }) {
  const { picture, main } = screen.shown();
  const [over] = edgesOf(main.rows, low);
  const [, upto] = edgesOf(main.rows, high);
  const [from, to] = [first, last].map((index) => hourText(picture.columns[index].start));
  change({ mark: { from, to, over: rounded(over), upto: rounded(upto) } });
}

/** Mark what the hour that is open has above its p99. */
function markSlowest() {
  const { picture } = screen.shown();
  const { numbers } = picture.columns[chosenIndex(picture, state)];
  change({ mark: { from: state.hour, to: state.hour, over: rounded(numbers.p99), upto: Infinity } });
}

/** So that it is short in the URL; buckets are 2 % wide. */
const rounded = (value) => Number(value.toPrecision(6));

/** List where the messages of the marked region come from. */
async function trace() {
  tracing.abort();
  tracing = new AbortController();
  const { signal } = tracing;
  const shows = Boolean(state.mark) && state.key.endsWith("*");
  element("marked").hidden = !shows;
  if (!shows) return;
  element("marked-title").textContent = markTitle(screen.shown().picture, state.mark);
  try {
    say(await showOrigins(element("marked-body"), state.key, state.mark, signal, (key) => choose({ key })));
  } catch (error) {
    if (!signal.aborted) element("marked-body").textContent = error.message;
  }
}

function showProblem(text, { isNotice = false } = {}) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
  element("problem").classList.toggle("notice", isNotice);
}

function makePage() {
  element("choice").addEventListener("submit", (event) => event.preventDefault());
  makeKeyPicker(element("key"), element("key-list"), (key) => choose({ key }), say);
  makeDayPicker(() => state, choose);
  makeCopyButtons(say);
  makeKeyboard(screen.shown, {
    onOpen: open,
    onClose: () => change({ hour: "", mark: null }),
    onMark: mark,
    canMark: () => canMark(state),
    chosen: () => chosenIndex(screen.shown().picture, state),
    say,
  });
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => change({ view: button.dataset.view }));
  }
  element("close-hour").addEventListener("click", () => change({ hour: "" }));
  element("unmark").addEventListener("click", () => change({ mark: null }));
  element("mark-slowest").addEventListener("click", markSlowest);
  element("only-day").addEventListener("click", () => choose({ day: dateAt(hourSeconds(state.hour), state.tz) }));
  element("forget-token").addEventListener("click", () => {
    forgetToken();
    location.reload();
  });
  addEventListener("popstate", () => {
    state = stateOfUrl();
    load();
  });
  const drawAgain = () => screen.shown() && screen.draw(screen.shown().picture);
  onSchemeChange(drawAgain);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) requestAnimationFrame(drawAgain);
    width = innerWidth;
  });
}

async function keepStatus() {
  if (!document.hidden) await showStatus(element("status"));
  setTimeout(keepStatus, STATUS_MS);
}

makePage();
load();
keepStatus();
