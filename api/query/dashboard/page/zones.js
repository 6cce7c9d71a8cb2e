// Days of a zone as hours of UTC. Each column of the charts is one hour, whatever the clocks did.

export const HOUR_S = 3600;
const DAY_MS = 86_400_000;
export const DAYS_MAX = 31;

const formats = new Map();

function format(zone, options, seconds) {
  const name = zone + JSON.stringify(options);
  let found = formats.get(name);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    formats.set(name, found);
  }
  return found.format(seconds * 1000);
}

/** @param {string} zone Whether the browser knows it. */
export function isZone(zone) {
  try {
    format(zone, { year: "numeric" }, 0);
    return true;
  } catch {
    return false;
  }
}

/** 2026-11-23 */
export function dateAt(seconds, zone) {
  const [day, month, year] = format(zone, { year: "numeric", month: "2-digit", day: "2-digit" }, seconds).split("/");
  return `${year}-${month}-${day}`;
}

/** 14:00 */
export const clockAt = (seconds, zone) => format(zone, { hour: "2-digit", minute: "2-digit" }, seconds);

/** 14:03:59 */
export const timeAt = (seconds, zone) =>
  format(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }, seconds);

/** Mon 23 Nov */
export const dayAt = (seconds, zone) =>
  format(zone, { weekday: "short", day: "numeric", month: "short" }, seconds).replace(",", "");

/** The date so many days later. */
export function addDays(date, days) {
  return new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10);
}

/** How many days that are. */
export const countDays = (from, to) => Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;

/**
 * The first and the last date of what `State.day` names.
 * @param {number} now In seconds.
 */
export function datesOf(day, zone, now) {
  const today = dateAt(now, zone);
  if (day === "today") return [today, today];
  if (day === "yesterday") return [addDays(today, -1), addDays(today, -1)];
  const [from, to = from] = day.split("..");
  return [from, to];
}

/** Its first whole hour, in seconds. */
export function startOf(date, zone) {
  let hour = Date.parse(date) / 1000 - 15 * HOUR_S;
  while (dateAt(hour, zone) < date) hour += HOUR_S;
  return hour;
}

/** The hour as the API writes it, in UTC: 2026-11-23T14 */
export const hourText = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 13);

/** The seconds of an hour that is written so. */
export const hourSeconds = (text) => Date.parse(`${text}:00:00Z`) / 1000;

/** UTC, the browser's own, and all others whose days consist of whole hours. */
export function zonesToChoose() {
  const january = Date.UTC(new Date().getUTCFullYear(), 0, 1) / 1000;
  const inWholeHours = (zone) =>
    [january, january + 182 * 24 * HOUR_S].every((seconds) => clockAt(seconds, zone).endsWith(":00"));
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const all = ["UTC", own, ...(Intl.supportedValuesOf?.("timeZone") ?? [])];
  return [...new Set(all)].filter((zone) => zone && isZone(zone) && inWholeHours(zone));
}
