// The panel at the side: histogram and summary of the hour that is open, or of all hours.

import { curlLine } from "./api.js";
import { compareOf } from "./day_picker.js";
import { drawDistribution } from "./distribution.js";
import { fillHourLegend } from "./legend.js";
import { columnTitle, isOfOneDay } from "./picture.js";
import { changeText, countText, valueText } from "./numbers.js";
import { fillBucketsTable } from "./tables.js";
import { hourText, timeAt } from "./zones.js";

const STATS = ["count", "average", "sum", "min", "median", "p90", "p95", "p99", "p99.9", "max"];

/** These grow with each message. */
const GROWING = ["count", "sum"];

/** The histogram that is shown. */
let chart = null;

const element = (id) => document.getElementById(id);

/** @param {number} index The hour; -1 for all. */
export function showHour(picture, index, state) {
  const column = picture.columns[index];
  const numbers = column ? column.numbers : picture.whole;
  const before = column ? column.before : picture.wholeBefore;
  const title = column ? columnTitle(column, picture.zone) : "All hours together";
  element("hour-title").textContent = title;
  element("close-hour").hidden = !column;
  element("hour-note").textContent = noteOf(numbers, column, picture.zone);
  for (const id of ["hour-chart", "hour-legend", "hour-summary", "buckets-table"]) element(id).hidden = !numbers;
  element("mark-slowest").hidden = !(column && numbers && state.key.endsWith("*"));
  element("only-day").hidden = !column || isOfOneDay(picture);
  element("hour-curl-line").hidden = !column;
  if (column) element("hour-curl").textContent = curlLine(hourPath(state.key, column.start));
  if (!numbers) return;
  chart?.destroy();
  chart = drawDistribution(element("hour-chart"), numbers, before, `Histogram, ${title}: median ${valueText(numbers.median)}, p99 ${valueText(numbers.p99)}`);
  fillHourLegend(element("hour-legend"), before ? compareOf(state) : "");
  fillSummary(element("hour-summary"), numbers, before);
  fillBucketsTable(element("buckets-table"), numbers, title);
}

const hourPath = (key, start) => `${encodeURIComponent(key)}/summary/${hourText(start).replace("T", "/")}`;

/** What to know of its numbers: whether they are final, and what is not in them. */
function noteOf(numbers, column, zone) {
  if (!numbers) return column ? "No messages in this hour." : "No messages.";
  const notes = [];
  if (numbers.complete) notes.push("Complete.");
  else if (numbers.as_of) notes.push(`Not complete: as of ${timeAt(Date.parse(numbers.as_of) / 1000, zone)}.`);
  else notes.push("Not complete yet.");
  if (numbers.keys !== undefined) notes.push(`${countText(numbers.keys)} ${numbers.keys === 1 ? "key" : "keys"}.`);
  if (numbers.late) notes.push(`${countText(numbers.late)} came late.`);
  if (numbers.dropped) notes.push(`${countText(numbers.dropped)} were dropped by clients.`);
  return notes.join(" ");
}

function fillSummary(list, numbers, before) {
  const cells = STATS.flatMap((stat) => {
    const text = stat === "count" ? countText : valueText;
    return [
      termOf(stat === "count" ? "messages" : stat, stat),
      definitionOf(text(numbers[stat]), before ? text(before[stat]) : "", changeOf(stat, numbers, before)),
    ];
  });
  list.replaceChildren(...cells);
}

/** How a number stands to the one before. What still grows is not compared with what is whole. */
function changeOf(stat, numbers, before) {
  if (!numbers || !before || (!numbers.complete && GROWING.includes(stat))) return "";
  return changeText(numbers[stat], before[stat]);
}

function termOf(text, stat) {
  const term = document.createElement("dt");
  term.textContent = text;
  term.className = `of-${stat.replace(".", "-")}`;
  return term;
}

function definitionOf(...texts) {
  const definition = document.createElement("dd");
  for (const [i, text] of texts.entries()) {
    const part = document.createElement("span");
    part.className = ["value", "before", "change"][i];
    part.textContent = text;
    definition.append(part);
  }
  return definition;
}

/** The numbers above the charts. */
export function fillHeadline(list, { whole, wholeBefore }) {
  const stats = { count: "messages", min: "min", median: "median", p90: "p90", p99: "p99", max: "max" };
  list.replaceChildren(...Object.entries(stats).map(([stat, name]) => {
    const group = document.createElement("div");
    const text = stat === "count" ? countText : valueText;
    const value = text(whole?.[stat] ?? (stat === "count" ? 0 : null));
    group.append(termOf(name, stat), definitionOf(value, "", changeOf(stat, whole, wholeBefore)));
    return group;
  }));
}
