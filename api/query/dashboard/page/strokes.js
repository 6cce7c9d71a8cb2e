// What the charts draw on uPlot's canvas: lines that say which hours are open, hatching, marks.

/** Where a time is on the canvas. */
export const xAt = (u, x) => u.valToPos(x, "x", true);

export const yAt = (u, y) => u.valToPos(y, "y", true);

/** Draw within the plot only. */
export function inPlot(u, draw) {
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  draw(ctx);
  ctx.restore();
}

/** A line through the hours; dashed to and from open ones, a dot where an hour is alone. */
export function line(u, picture, positionAt, { colour, width = 2, halo, dash }) {
  const ratio = devicePixelRatio;
  const [solid, dashed, dots] = [new Path2D(), new Path2D(), new Path2D()];
  let last = null;
  picture.columns.forEach((column, i) => {
    const position = positionAt(i);
    if (position === null) {
      last = null;
      return;
    }
    const point = { x: xAt(u, column.middle), y: yAt(u, position), open: column.open };
    if (last) {
      const path = last.open || point.open ? dashed : solid;
      path.moveTo(last.x, last.y);
      path.lineTo(point.x, point.y);
    } else if (positionAtOrNull(picture, positionAt, i + 1) === null) {
      dots.moveTo(point.x, point.y);
      dots.arc(point.x, point.y, (width + 1) * ratio, 0, 2 * Math.PI);
    }
    last = point;
  });
  inPlot(u, (ctx) => {
    ctx.lineJoin = ctx.lineCap = "round";
    for (const [stroke, grown] of halo ? [[halo, 2.5], [colour, 0]] : [[colour, 0]]) {
      ctx.strokeStyle = ctx.fillStyle = stroke;
      ctx.lineWidth = (width + grown) * ratio;
      ctx.setLineDash(dash ? dash.map((part) => part * ratio) : []);
      ctx.stroke(solid);
      ctx.setLineDash((dash ?? [4, 5]).map((part) => part * ratio));
      ctx.stroke(dashed);
      ctx.setLineDash([]);
      if (grown) ctx.stroke(dots);
      ctx.fill(dots);
    }
  });
}

const positionAtOrNull = (picture, positionAt, i) => (i < picture.columns.length ? positionAt(i) : null);

/** Its left and right, in pixels of the canvas. */
export function sidesOf(u, column) {
  const left = Math.round(xAt(u, column.start));
  return [left, Math.max(left + 1, Math.round(xAt(u, column.start + 3600)))];
}

/** Hatch the hours that are open: in two colours, to be seen on cells, and where there are none. */
export function hatch(u, picture, { card, before }) {
  const step = 6 * devicePixelRatio;
  for (const column of picture.columns) {
    if (!column.open) continue;
    const [left, right] = sidesOf(u, column);
    inPlot(u, (ctx) => {
      ctx.beginPath();
      ctx.rect(left, u.bbox.top, right - left, u.bbox.height);
      ctx.clip();
      ctx.beginPath();
      for (let at = left - u.bbox.height; at < right; at += step) {
        ctx.moveTo(at, u.bbox.top + u.bbox.height);
        ctx.lineTo(at + u.bbox.height, u.bbox.top);
      }
      for (const [colour, width] of [[card, 2], [before, 0.6]]) {
        ctx.strokeStyle = colour;
        ctx.lineWidth = width * devicePixelRatio;
        ctx.stroke();
      }
    });
  }
}

/** Frame the hour that is chosen. */
export function frame(u, column, colour) {
  if (!column) return;
  const [left, right] = sidesOf(u, column);
  const ratio = devicePixelRatio;
  u.ctx.save();
  u.ctx.strokeStyle = colour;
  u.ctx.lineWidth = 2 * ratio;
  const outside = right - left < 6 * ratio ? 2 * ratio : 0;
  u.ctx.strokeRect(left - outside, u.bbox.top - ratio, right - left + 2 * outside, u.bbox.height + 2 * ratio);
  u.ctx.restore();
}
