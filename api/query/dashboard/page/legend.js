// What the colours under a chart stand for.

import { countText } from "./numbers.js";
import { stepOf, theme } from "./theme.js";
import { timeAt } from "./zones.js";

/** What the grey is, by `compareOf`. */
const BEFORE = { "1d": "a day before", "7d": "a week before", "28d": "4 weeks before" };

export function fillMainLegend(box, picture, view, most, compare) {
  const isHeatmap = view === "heatmap";
  const stats = isHeatmap ? ["median", "p99"] : ["median", "p90", "p99"];
  const parts = stats.map((stat) => swatch(stat, stat));
  if (!isHeatmap) parts.push(swatch("band", "min to max"));
  if (compare) parts.push(swatch("before", BEFORE[compare]));
  parts.push(...openPart(picture));
  if (isHeatmap) parts.push(gradient(most));
  box.replaceChildren(...parts);
}

export function fillCountLegend(box, compare) {
  box.replaceChildren(swatch("bar", "messages"), ...(compare ? [swatch("before", BEFORE[compare])] : []));
}

export function fillHourLegend(box, compare) {
  box.replaceChildren(swatch("bar", "messages"), ...(compare ? [swatch("before", `${BEFORE[compare]}, scaled to as many`)] : []));
}

/** @param {Picture} picture Which hours are hatched, and until when they are counted. */
function openPart(picture) {
  const open = picture.columns.filter((column) => column.open);
  if (!open.length) return [];
  const asOf = open.map(({ numbers }) => numbers?.as_of).filter(Boolean).sort()[0];
  const until = asOf ? `, as of ${timeAt(Date.parse(asOf) / 1000, picture.zone)}` : "";
  return [swatch("open", `${open.length === 1 ? "not complete" : `${open.length} hours not complete`}${until}`)];
}

function swatch(kind, text) {
  const part = document.createElement("span");
  part.className = `swatch is-${kind}`;
  part.textContent = text;
  return part;
}

/** The scale of the cells, from one message to the most. */
function gradient(most) {
  const part = document.createElement("span");
  part.className = "gradient";
  const needle = document.createElement("i");
  needle.hidden = true;
  const bar = document.createElement("span");
  bar.style.background = `linear-gradient(90deg, ${theme().cells.join()})`;
  bar.append(needle);
  const unit = most === 1 ? "message" : "messages";
  part.append("1", bar, `${countText(most)} ${unit} a cell`);
  return part;
}

/** Show on the scale where the cell under the cursor is. */
export function pointAtCount(box, count, most) {
  const needle = box.querySelector(".gradient i");
  if (!needle) return;
  needle.hidden = !count;
  if (count) needle.style.left = `${(100 * stepOf(count, most)) / 63}%`;
}
