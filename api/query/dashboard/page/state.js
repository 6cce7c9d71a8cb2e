// What is shown, and its place in the URL: a link shows the same to whoever opens it.

/**
 * @typedef {object} Mark A marked region of the heatmap.
 * @property {string} from The first hour, in UTC: 2026-11-23T14.
 * @property {string} to The last hour.
 * @property {number} over Values above this,
 * @property {number} upto and at most this; Infinity for all above.
 */

/**
 * @typedef {object} State
 * @property {string} key A key, or a prefix and a star.
 * @property {string} day today, yesterday, a date, or two with two dots between.
 * @property {string} tz An IANA zone.
 * @property {string} compare auto, off, 1d, 7d or 28d.
 * @property {string} view heatmap or lines.
 * @property {string} hour The hour that is open, in UTC; empty for none.
 * @property {Mark | null} mark What is marked.
 */

const DEFAULTS = Object.freeze({
  key: "", day: "today", tz: "UTC", compare: "auto", view: "heatmap", hour: "", mark: null,
});

const DATE = "\\d{4}-\\d{2}-\\d{2}";
const HOUR = `${DATE}T\\d{2}`;

/** What each part may be; anything else in a URL is left out, as URLs come from anybody. */
const ALLOWED = {
  key: /^(?:[A-Za-z0-9][A-Za-z0-9._:-]{0,127})?\*?$/,
  day: new RegExp(`^(?:today|yesterday|${DATE}(?:\\.\\.${DATE})?)$`),
  tz: /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/,
  compare: /^(?:auto|off|1d|7d|28d)$/,
  view: /^(?:heatmap|lines)$/,
  hour: new RegExp(`^(?:${HOUR})?$`),
};

const MARK = new RegExp(`^(${HOUR})\\.\\.(${HOUR}),([0-9.e+-]+)\\.\\.([0-9.e+-]+|)$`);

/** @param {string} text Whether it can be a key, or a prefix and a star. */
export const isKey = (text) => text !== "" && ALLOWED.key.test(text);

export function fromQuery(query) {
  const given = new URLSearchParams(query);
  const state = { ...DEFAULTS };
  for (const [name, allowed] of Object.entries(ALLOWED)) {
    const value = given.get(name);
    if (value !== null && allowed.test(value)) state[name] = value;
  }
  state.mark = markOf(given.get("mark") ?? "");
  return state;
}

/** The query, without what is as usual. */
export function toQuery(state) {
  const query = new URLSearchParams();
  for (const name of Object.keys(ALLOWED)) {
    if (state[name] !== DEFAULTS[name]) query.set(name, state[name]);
  }
  if (state.mark) query.set("mark", textOf(state.mark));
  // Legible in the address bar: these need no escape in a query.
  return query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%3A", ":");
}

function markOf(text) {
  const found = MARK.exec(text);
  if (!found) return null;
  const [from, to] = [found[1], found[2]];
  const [over, upto] = [Number(found[3]), found[4] === "" ? Infinity : Number(found[4])];
  return from <= to && over < upto ? { from, to, over, upto } : null;
}

const textOf = ({ from, to, over, upto }) =>
  `${from}..${to},${over}..${upto === Infinity ? "" : upto}`;
