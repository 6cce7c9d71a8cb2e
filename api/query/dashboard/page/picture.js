// An answer of the query service as what the charts draw: a column for each hour.

import { HOUR_S, clockAt, dateAt, dayAt, startOf } from "./zones.js";

/** @typedef {any} Numbers What docs/http.md says of `histogram`, with `count`, `complete` and `before`. */

/**
 * @typedef {object} Column One hour.
 * @property {number} start In seconds.
 * @property {number} middle Where its points are drawn.
 * @property {Numbers | null} numbers Null without messages.
 * @property {Numbers | null} before The hour that it is compared with.
 * @property {boolean} open Whether messages may still come.
 */

/**
 * @typedef {object} Picture
 * @property {Column[]} columns
 * @property {number} start
 * @property {number} end
 * @property {string} zone
 * @property {Numbers | null} whole
 * @property {Numbers | null} wholeBefore
 */

/** What an answer shows. @param {string} from The first date. */
export function pictureOf(answer, from, zone, now) {
  const start = startOf(from, zone);
  const columns = answer.hours.map((found, i) => {
    const begin = start + i * HOUR_S;
    const numbers = withMessages(found);
    return {
      start: begin,
      middle: begin + HOUR_S / 2,
      numbers,
      before: withMessages(found?.before),
      open: begin <= now && (found ? !found.complete : begin + HOUR_S > now),
    };
  });
  return {
    columns,
    start,
    end: start + answer.hours.length * HOUR_S,
    zone,
    whole: withMessages(answer.whole),
    wholeBefore: withMessages(answer.whole?.before),
  };
}

/** @param {Numbers | null | undefined} numbers An hour of loss reports alone has no messages. */
const withMessages = (numbers) => (numbers?.count ? numbers : null);

/** @param {Picture} picture Whether any hour of it may still change soon. */
export const isOpen = (picture) => picture.columns.some((column) => column.open);

/** Mon 23 Nov, 14:00–15:00 */
export const columnTitle = (column, zone) => `${dayAt(column.start, zone)}, ${hoursText(column, zone)}`;

/** 14:00–15:00 */
export const hoursText = (column, zone) =>
  `${clockAt(column.start, zone)}–${clockAt(column.start + HOUR_S, zone)}`;

/** The index of an hour; -1 if it is not shown. */
export const indexAt = (picture, seconds) => {
  const index = Math.floor((seconds - picture.start) / HOUR_S);
  return index >= 0 && index < picture.columns.length ? index : -1;
};

/** @param {Picture} picture Whether it is of one date. */
export const isOfOneDay = (picture) =>
  dateAt(picture.start, picture.zone) === dateAt(picture.end - HOUR_S, picture.zone);
