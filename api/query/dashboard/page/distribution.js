// The histogram of one hour, or of all of them: how many messages had which value.

import { axisLook, emptied } from "./chart.js";
import { compactText, countText, percentText, tickText, valueText } from "./numbers.js";
import { countRows, countsByRow, edgesOf, positionOf, rowsFor, ticksOf } from "./scale.js";
import { inPlot, xAt, yAt } from "./strokes.js";
import { theme } from "./theme.js";
import { hideTip, showTip } from "./tooltip.js";

const HEIGHT = 190;

export function drawDistribution(box, numbers, before, label) {
  const width = Math.max(box.clientWidth, 200);
  const colours = theme();
  const rows = rowsFor([numbers, before].filter(Boolean), width * 1.4);
  const counts = countsByRow(rows, numbers.buckets);
  // The shape of the hour before is compared, whatever its number of messages.
  const ratio = before ? numbers.count / before.count : 1;
  const beforeCounts = before ? countsByRow(rows, before.buckets) : new Map();
  const most = Math.max(1, ...counts.values(), ...[...beforeCounts.values()].map((count) => count * ratio));
  const ticks = ticksOf(rows, width * 0.6);
  const places = Array.from({ length: countRows(rows) }, (_, row) => rows.lowest + (row + 0.5) * rows.height);
  const look = axisLook(colours);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
  return new uPlot(
    {
      width,
      height: HEIGHT,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      scales: { x: { time: false, range: () => [rows.lowest, rows.highest] }, y: { range: () => [0, most * 1.05] } },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [
        { ...look, size: 28, gap: 6, splits: () => ticks.map(({ position }) => position),
          values: (_, at) => at.map((tick) => tickText(ticks.find(({ position }) => position === tick)?.value)) },
        { ...look, size: 46, gap: 6, values: (_, at) => at.map((tick) => (Number.isInteger(tick) ? compactText(tick) : "")) },
      ],
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      hooks: {
        draw: [(u) => {
          steps(u, rows, counts, 1, (ctx) => ctx.fill(), { fillStyle: colours.bar });
          if (before) steps(u, rows, beforeCounts, ratio, (ctx) => ctx.stroke(), { strokeStyle: colours.before, lineWidth: 1.5 * devicePixelRatio });
          for (const stat of ["median", "p90", "p99"]) upright(u, positionOf(rows, numbers[stat]), colours[stat], colours.card);
        }],
        setCursor: [(u) => {
          const { idx, left } = u.cursor;
          if (left < 0 || idx === null || idx === undefined) return hideTip(u);
          const [over, upto] = edgesOf(rows, idx);
          const count = counts.get(idx) ?? 0;
          return showTip(u, upto <= 0 ? "0" : `${valueText(Math.max(over, 0))}–${valueText(upto)}`, [
            ["messages", countText(count)], ["share", percentText(count / numbers.count)],
          ]);
        }],
      },
    },
    [places, places.map(() => 0)],
    emptied(box),
  );
}

/** Draw counts as steps from left to right, and down to the axis. */
function steps(u, rows, counts, ratio, paint, style) {
  inPlot(u, (ctx) => {
    Object.assign(ctx, style);
    ctx.beginPath();
    ctx.moveTo(u.bbox.left, yAt(u, 0));
    for (let row = 0; row < countRows(rows); row += 1) {
      const left = xAt(u, rows.lowest + row * rows.height);
      const y = yAt(u, (counts.get(row) ?? 0) * ratio);
      ctx.lineTo(left, y);
      ctx.lineTo(xAt(u, rows.lowest + (row + 1) * rows.height), y);
    }
    ctx.lineTo(u.bbox.left + u.bbox.width, yAt(u, 0));
    paint(ctx);
  });
}

/** Draw an upright line where a percentile is. */
function upright(u, position, colour, halo) {
  inPlot(u, (ctx) => {
    const x = xAt(u, position);
    for (const [stroke, width] of [[halo, 4], [colour, 2]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
    }
  });
}
