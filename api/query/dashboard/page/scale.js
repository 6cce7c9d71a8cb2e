// The vertical axis: values by their logarithm, in buckets of the histogram.
//
// Bucket i holds the values in (1.02^(i-1), 1.02^i]. Positions are in buckets, so that rows of whole
// buckets have straight edges and no cell is ever a guess. Zeros have a row of their own below all.

const LOG_GAMMA = Math.log(1.02);
const TINY = 1e-300;
const ROW_PX = 7;

/**
 * @typedef {object} Rows
 * @property {number} lowest The position of the lower edge.
 * @property {number} highest That of the upper edge.
 * @property {number} height Buckets in a row.
 * @property {boolean} hasZeros Whether the lowest row is that of zeros.
 */

/** The bucket of a value. */
const bucketOf = (value) => Math.ceil(Math.log(value) / LOG_GAMMA - 1e-6);

/** The value at a position. */
export const valueAt = (position) => Math.exp(position * LOG_GAMMA);

/**
 * The rows for these histograms and values.
 * @param {number} heightPx Of the chart.
 */
export function rowsFor(all, heightPx) {
  let lowest = Infinity;
  let highest = -Infinity;
  let hasZeros = false;
  for (const { buckets, max } of all) {
    for (const [, upper] of [buckets.find(([, end]) => end > TINY), buckets.at(-1)].filter(Boolean)) {
      if (upper <= TINY) continue;
      lowest = Math.min(lowest, bucketOf(upper) - 1);
      highest = Math.max(highest, bucketOf(upper), bucketOf(max));
    }
    hasZeros ||= buckets.length > 0 && buckets[0][1] <= TINY;
  }
  if (lowest > highest) [lowest, highest] = [-35, 35];
  // One value alone is not blown up to the whole height.
  const missing = 70 - (highest - lowest);
  if (missing > 0) [lowest, highest] = [lowest - Math.ceil(missing / 2), highest + Math.ceil(missing / 2)];
  const height = Math.max(1, Math.ceil(((highest - lowest) * ROW_PX) / heightPx));
  lowest = Math.floor(lowest / height) * height - (hasZeros ? 2 * height : 0);
  return { lowest, highest: Math.ceil(highest / height) * height, height, hasZeros };
}

/** Where a value is drawn. */
export const positionOf = (rows, value) =>
  value <= TINY ? rows.lowest + rows.height / 2 : Math.log(value) / LOG_GAMMA;

/** Where an edge of rows is drawn, as `edgesOf` gives it. */
export function edgePosition(rows, edge) {
  if (edge < 0) return rows.lowest;
  if (edge === 0) return rows.lowest + rows.height;
  return Math.min(Math.max(Math.log(edge) / LOG_GAMMA, rows.lowest), rows.highest);
}

/** The row of the bucket that ends there. */
export const rowOf = (rows, upper) =>
  upper <= TINY ? 0 : Math.floor((bucketOf(upper) - 1 - rows.lowest) / rows.height);

/** How many rows there are. */
export const countRows = (rows) => Math.round((rows.highest - rows.lowest) / rows.height);

/** The values of a row: above, and at most. */
export function edgesOf(rows, row) {
  if (rows.hasZeros && row <= 1) return row === 0 ? [-1, 0] : [0, valueAt(rows.lowest + 2 * rows.height)];
  const lower = rows.lowest + row * rows.height;
  return [valueAt(lower), valueAt(lower + rows.height)];
}

/** Marks of the axis: 1, 2, 5 to the decade, or decades alone where there are many. */
export function ticksOf(rows, heightPx) {
  const bottom = rows.hasZeros ? rows.lowest + 2 * rows.height : rows.lowest;
  const decades = ((rows.highest - bottom) * LOG_GAMMA) / Math.LN10;
  const most = Math.max(2, heightPx / 34);
  const steps = decades * 9 <= most * 0.8 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : decades * 3 <= most ? [1, 2, 5] : decades * 2 <= most ? [1, 3] : [1];
  const every = Math.max(1, Math.ceil(decades / most));
  const ticks = rows.hasZeros ? [{ position: rows.lowest + rows.height / 2, value: 0 }] : [];
  const first = Math.floor(Math.log10(valueAt(bottom))) - 1;
  for (let power = first; power <= Math.log10(valueAt(rows.highest)); power += 1) {
    if (power % every !== 0) continue;
    for (const step of steps) {
      const value = Number(`${step}e${power}`);
      const position = Math.log(value) / LOG_GAMMA;
      if (position >= bottom && position <= rows.highest) ticks.push({ position, value });
    }
  }
  return ticks;
}

/** Counts by row. */
export function countsByRow(rows, buckets) {
  const counts = new Map();
  for (const [, upper, count] of buckets) {
    const row = rowOf(rows, upper);
    counts.set(row, (counts.get(row) ?? 0) + count);
  }
  return counts;
}
