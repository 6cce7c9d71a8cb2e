// The tables under the charts: the same numbers for those who read, copy, or use a screen reader.

import { columnTitle } from "./picture.js";
import { countText, percentText, valueText } from "./numbers.js";

/**
 * Fill a table when it is opened, and again while it is open.
 * @param {() => string[][]} rows The first cell of each is its head.
 */
function fill(details, caption, head, rows) {
  const refill = () => {
    details.querySelector(".scroll")?.remove();
    if (details.open) details.append(tableOf(caption, head, rows()));
  };
  details.ontoggle = refill;
  refill();
}

function tableOf(caption, head, rows) {
  const table = document.createElement("table");
  table.createCaption().textContent = caption;
  const headRow = table.createTHead().insertRow();
  for (const text of head) headRow.append(cellOf("th", text, "col"));
  const body = table.createTBody();
  for (const [first, ...others] of rows) {
    body.insertRow().append(cellOf("th", first, "row"), ...others.map((text) => cellOf("td", text)));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", caption);
  scroll.append(table);
  return scroll;
}

function cellOf(name, text, scope) {
  const cell = document.createElement(name);
  cell.textContent = text;
  if (scope) cell.setAttribute("scope", scope);
  return cell;
}

const titleOf = (column, zone) => columnTitle(column, zone) + (column.open ? " (open)" : "");

export function fillHoursTable(details, picture, key) {
  const stats = ["median", "p90", "p99", "min", "max", "average"];
  fill(details, `Response times of ${key} by hour, ${picture.zone}`, ["hour", ...stats, "median before", "p99 before"], () =>
    picture.columns.map((column) => [
      titleOf(column, picture.zone),
      ...stats.map((stat) => valueText(column.numbers?.[stat])),
      valueText(column.before?.median),
      valueText(column.before?.p99),
    ]));
}

export function fillCountsTable(details, picture, key) {
  fill(details, `Messages of ${key} by hour, ${picture.zone}`, ["hour", "messages", "before", "complete", "as of", "late", "dropped"], () =>
    picture.columns.map((column) => [
      titleOf(column, picture.zone),
      countText(column.numbers?.count ?? 0),
      column.before ? countText(column.before.count) : "–",
      column.numbers ? (column.numbers.complete ? "yes" : "not yet") : "–",
      column.numbers?.as_of ?? "–",
      countText(column.numbers?.late ?? 0),
      countText(column.numbers?.dropped ?? 0),
    ]));
}

export function fillBucketsTable(details, numbers, title) {
  fill(details, `Histogram, ${title}`, ["above", "up to", "messages", "share"], () =>
    numbers.buckets.map(([lower, upper, count]) => [
      valueText(lower), valueText(upper), countText(count), percentText(count / numbers.count),
    ]));
}
