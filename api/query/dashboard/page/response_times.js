// The main chart: a heatmap of hours and values, or lines of the percentiles, on the same axes.

import { hourChart } from "./chart.js";
import { columnTitle } from "./picture.js";
import { countText, percentText, tickText, valueText } from "./numbers.js";
import { countRows, countsByRow, edgePosition, edgesOf, positionOf, rowsFor, ticksOf } from "./scale.js";
import { frame, hatch, inPlot, line, sidesOf, xAt, yAt } from "./strokes.js";
import { stepOf } from "./theme.js";
import { hideTip, showTip } from "./tooltip.js";

const STATS = ["median", "p90", "p99"];
const AXIS_PX = 38;

/** Draw it; return its uPlot, its rows, for each hour the counts by row, and the largest of these. */
export function drawResponseTimes(box, picture, how) {
  const height = box.clientWidth < 600 ? 300 : 420;
  const isHeatmap = how.view === "heatmap";
  const shown = picture.columns.flatMap(({ numbers, before }) => [numbers, before].filter(Boolean));
  const rows = rowsFor(shown, height - AXIS_PX);
  const counts = picture.columns.map(({ numbers }) => countsByRow(rows, numbers?.buckets ?? []));
  const most = Math.max(1, ...counts.flatMap((each) => [...each.values()]));
  const ticks = ticksOf(rows, height - AXIS_PX);
  const found = { rows, counts, most, chart: null };
  found.chart = hourChart({
    box,
    picture,
    height,
    label: isHeatmap ? "Heatmap of response times by hour" : "Response times by hour: median, p90, p99, and the band from min to max",
    range: () => [rows.lowest, rows.highest],
    ticks: () => ticks.map(({ position }) => position),
    tickText: (tick) => tickText(ticks.find(({ position }) => position === tick)?.value),
    onOpen: how.onOpen,
    onSelect: how.canMark && isHeatmap ? (u) => {
      const corners = cornersOf(u, picture, rows);
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      how.onMark(corners);
    } : undefined,
    onCursor: (u) => describe(u, picture, found, isHeatmap, how.onCell),
    draw: (u, colours) => {
      if (isHeatmap) cells(u, picture, found, colours);
      else band(u, picture, rows, colours);
      hatch(u, picture, colours);
      curves(u, picture, rows, colours, isHeatmap);
      frame(u, picture.columns[how.chosen()], colours.accent);
      markFrame(u, picture, rows, how.marked(), colours);
    },
  });
  return found;
}

/** Fill a cell for each hour and row that has messages. */
function cells(u, picture, { rows, counts, most }, colours) {
  const ratio = devicePixelRatio;
  const edges = Array.from({ length: countRows(rows) + 1 }, (_, row) =>
    Math.round(yAt(u, rows.lowest + row * rows.height)));
  const gapY = edges[0] - edges[1] > 12 * ratio ? Math.round(ratio) : 0;
  inPlot(u, (ctx) => {
    picture.columns.forEach((column, i) => {
      const [left, right] = sidesOf(u, column);
      const gapX = right - left > 5 * ratio ? Math.round(ratio) : 0;
      for (const [row, count] of counts[i]) {
        ctx.fillStyle = colours.cells[stepOf(count, most)];
        ctx.fillRect(left, edges[row + 1], right - left - gapX, edges[row] - edges[row + 1] - gapY);
      }
    });
  });
}

/** Fill between min and max of each hour. */
function band(u, picture, rows, colours) {
  inPlot(u, (ctx) => {
    ctx.fillStyle = colours.band;
    for (const column of picture.columns) {
      if (!column.numbers) continue;
      const [left, right] = sidesOf(u, column);
      const top = yAt(u, positionOf(rows, column.numbers.max));
      const bottom = yAt(u, positionOf(rows, column.numbers.min));
      ctx.fillRect(left, top, right - left, Math.max(bottom - top, 2 * devicePixelRatio));
    }
  });
}

/** Draw the percentiles, and those of the period before in grey below them. */
function curves(u, picture, rows, colours, isHeatmap) {
  const stats = isHeatmap ? ["median", "p99"] : STATS;
  const along = (part, stat) => (i) => {
    const value = picture.columns[i][part]?.[stat];
    return value === undefined || value === null ? null : positionOf(rows, value);
  };
  const halo = colours.card;
  for (const stat of stats) {
    line(u, picture, along("before", stat), { colour: colours.before, width: 1.5, dash: [3, 3], halo: isHeatmap ? halo : undefined });
  }
  for (const stat of stats) line(u, picture, along("numbers", stat), { colour: colours[stat], halo });
}

/** Frame the region that is marked. */
function markFrame(u, picture, rows, mark, colours) {
  if (!mark) return;
  const left = xAt(u, mark.start);
  const right = xAt(u, mark.end);
  const top = yAt(u, edgePosition(rows, mark.upto));
  const bottom = yAt(u, edgePosition(rows, mark.over));
  inPlot(u, (ctx) => {
    ctx.strokeStyle = colours.mark;
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.setLineDash([5 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.strokeRect(left, top, right - left, bottom - top);
  });
}

/** What was drawn over, in whole hours and rows. */
function cornersOf(u, picture, rows) {
  const { left, top, width, height } = u.select;
  const at = (x) => Math.min(Math.max(Math.floor((u.posToVal(x, "x") - picture.start) / 3600), 0), picture.columns.length - 1);
  const row = (y) => Math.min(Math.max(Math.floor((u.posToVal(y, "y") - rows.lowest) / rows.height), 0), countRows(rows) - 1);
  return { first: at(left), last: at(left + width - 1), low: row(top + height - 1), high: row(top) };
}

/** Say in the box beside the cursor what is there. */
function describe(u, picture, { rows, counts }, isHeatmap, onCell) {
  const { idx, left, top } = u.cursor;
  const column = picture.columns[idx ?? -1];
  if (!column || left < 0) {
    hideTip(u);
    onCell(null);
    return;
  }
  const { numbers, before } = column;
  const lines = STATS.concat("min", "max").map((stat) => [stat, valueText(numbers?.[stat]), before ? valueText(before[stat]) : ""]);
  const count = ["messages", countText(numbers?.count ?? 0), before ? countText(before.count) : ""];
  const cell = [];
  let inCell = null;
  if (isHeatmap && top >= 0 && numbers) {
    const row = Math.floor((u.posToVal(top, "y") - rows.lowest) / rows.height);
    const [over, upto] = edgesOf(rows, row);
    inCell = counts[idx].get(row) ?? 0;
    const values = upto <= 0 ? "0" : `${valueText(Math.max(over, 0))}–${valueText(upto)}`;
    cell.push([values, `${countText(inCell)} · ${percentText(inCell / numbers.count)}`]);
  }
  onCell(inCell);
  const title = columnTitle(column, picture.zone) + (column.open ? ", open" : "");
  showTip(u, title, numbers ? [...cell, count, ...lines] : [["no messages", ""]]);
}
