// A uPlot with the axes, the cursor and the size that all charts of the page share.

import { clockAt, dayAt, startOf, addDays, dateAt, HOUR_S } from "./zones.js";
import { theme } from "./theme.js";

const FONT = "12px system-ui, sans-serif";
const Y_AXIS_PX = 58;

/**
 * @typedef {object} Parts What a chart is made of.
 * @property {HTMLElement} box Where it is put.
 * @property {string} label What it shows, for those who do not see it.
 * @property {number} height In CSS pixels.
 * @property {Picture} picture
 * @property {() => [number, number]} range Of the vertical axis.
 * @property {() => number[]} ticks Of the same.
 * @property {(tick: number) => string} tickText
 * @property {(u: any, colours: any) => void} draw
 * @property {(u: any) => void} [onSelect] A region was drawn over it.
 * @property {(u: any) => void} [onCursor]
 * @property {(index: number) => void} onOpen An hour was clicked.
 */

/** Draw a chart over hours; return its uPlot. @param {Parts} parts */
export function hourChart(parts) {
  const { box, picture } = parts;
  const colours = theme();
  const stub = { show: true, paths: () => null, points: { show: false } };
  const chart = new uPlot(
    {
      width: Math.max(box.clientWidth, 200),
      height: parts.height,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: true, range: () => [picture.start, picture.end] },
        y: { range: () => parts.range() },
      },
      series: [{}, stub],
      axes: [timeAxis(picture, colours), valueAxis(parts, colours)],
      cursor: {
        sync: { key: "hours", scales: ["x", null] },
        drag: { x: Boolean(parts.onSelect), y: Boolean(parts.onSelect), uni: 8, dist: 6, setScale: false },
        points: { show: false },
        y: Boolean(parts.onSelect),
      },
      hooks: {
        draw: [(u) => parts.draw(u, colours)],
        setSelect: [(u) => u.select.width > 0 && parts.onSelect?.(u)],
        setCursor: [(u) => parts.onCursor?.(u)],
      },
    },
    [picture.columns.map((column) => column.middle), picture.columns.map(() => 0)],
    emptied(box),
  );
  chart.over.addEventListener("click", () => {
    if (chart.cursor.idx !== null && chart.cursor.idx !== undefined) parts.onOpen(chart.cursor.idx);
  });
  box.setAttribute("role", "application");
  box.setAttribute("aria-roledescription", "chart");
  box.setAttribute("aria-label", parts.label);
  box.tabIndex = 0;
  return chart;
}

export function emptied(box) {
  box.replaceChildren();
  return box;
}

/** @param {import("./theme.js").Theme} colours What axes look like. */
export const axisLook = (colours) => ({
  stroke: colours.muted,
  font: FONT,
  grid: { stroke: colours.grid, width: 1 },
  ticks: { show: false },
});

function timeAxis(picture, colours) {
  const { zone } = picture;
  const days = (picture.end - picture.start) / (24 * HOUR_S);
  return {
    ...axisLook(colours),
    size: 30,
    gap: 6,
    grid: { show: false },
    splits: (u) => (days < 1.5 ? hourTicks(picture, u.bbox.width) : dayTicks(picture, u.bbox.width)),
    values: (_, ticks) => ticks.map((tick) => (days < 1.5 ? clockAt(tick, zone) : dayAt(tick, zone))),
  };
}

function hourTicks(picture, widthPx) {
  const most = widthPx / devicePixelRatio / 46;
  const every = [1, 2, 3, 4, 6, 12].find((step) => 24 / step <= most) ?? 12;
  return picture.columns
    .map((column) => column.start)
    .filter((start) => Number(clockAt(start, picture.zone).slice(0, 2)) % every === 0);
}

function dayTicks(picture, widthPx) {
  const ticks = [];
  const last = dateAt(picture.end - HOUR_S, picture.zone);
  for (let day = dateAt(picture.start, picture.zone); day <= last; day = addDays(day, 1)) {
    ticks.push(startOf(day, picture.zone));
  }
  const every = Math.ceil((ticks.length * 76) / (widthPx / devicePixelRatio));
  return ticks.filter((_, i) => i % every === 0);
}

function valueAxis(parts, colours) {
  return {
    ...axisLook(colours),
    size: Y_AXIS_PX,
    gap: 8,
    splits: (u) => parts.ticks(u),
    values: (_, ticks) => ticks.map(parts.tickText),
  };
}
