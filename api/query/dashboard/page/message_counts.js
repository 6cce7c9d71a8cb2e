// The bars below the main chart: how many messages each hour had.

import { hourChart } from "./chart.js";
import { compactText } from "./numbers.js";
import { frame, hatch, inPlot, sidesOf, yAt } from "./strokes.js";

const TICKS = 3;

/** Draw them; return their uPlot. */
export function drawMessageCounts(box, picture, how) {
  const all = picture.columns.flatMap(({ numbers, before }) => [numbers?.count ?? 0, before?.count ?? 0]);
  const step = stepFor(Math.max(1, ...all));
  const top = Math.ceil(Math.max(1, ...all) / step) * step;
  return hourChart({
    box,
    picture,
    height: 130,
    label: "Messages by hour",
    range: () => [0, top],
    ticks: () => Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step),
    tickText: compactText,
    onOpen: how.onOpen,
    draw: (u, colours) => {
      bars(u, picture, colours);
      hatch(u, picture, colours);
      frame(u, picture.columns[how.chosen()], colours.accent);
    },
  });
}

function bars(u, picture, colours) {
  const ratio = devicePixelRatio;
  const bottom = yAt(u, 0);
  inPlot(u, (ctx) => {
    for (const column of picture.columns) {
      const [left, right] = sidesOf(u, column);
      const gap = right - left > 5 * ratio ? Math.round(ratio) : 0;
      if (column.numbers) {
        const at = Math.min(yAt(u, column.numbers.count), bottom - ratio);
        ctx.fillStyle = colours.bar;
        ctx.fillRect(left, at, right - left - gap, bottom - at);
      }
      if (column.before) {
        ctx.fillStyle = colours.before;
        ctx.fillRect(left, yAt(u, column.before.count) - ratio, right - left - gap, 2 * ratio);
      }
    }
  });
}

/** The distance of ticks: 1, 2 or 5 of some power of ten, so that a few steps suffice. */
function stepFor(most) {
  const power = 10 ** Math.floor(Math.log10(most / TICKS));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => most / each <= TICKS) ?? 10 * power;
  return Math.max(1, step);
}
