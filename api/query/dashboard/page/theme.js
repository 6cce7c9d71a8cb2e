// Colours of the charts, by the scheme of the page. Those of text and lines stand in style.css.

const STEPS = 64;

/**
 * Ends of the heatmap's scale in OKLCH: one hue that turns a little, even in lightness, so that it
 * reads the same to those who see no red or no green, and in grey.
 * Source: Björn Ottosson, "A perceptual color space for image processing", 2020.
 */
const SCALES = {
  light: [{ l: 0.925, c: 0.035, h: 225 }, { l: 0.33, c: 0.125, h: 268 }],
  dark: [{ l: 0.315, c: 0.06, h: 268 }, { l: 0.93, c: 0.075, h: 205 }],
};

const NAMES = ["ink", "muted", "grid", "card", "median", "p90", "p99", "band", "before", "bar", "accent", "mark"];

/** @typedef {Record<string, string> & {cells: string[]}} Theme */

const dark = matchMedia("(prefers-color-scheme: dark)");

export function theme() {
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...colours, cells: cellColours(dark.matches ? SCALES.dark : SCALES.light) };
}

/** @param {() => void} act Called when the scheme changes. */
export const onSchemeChange = (act) => dark.addEventListener("change", act);

/**
 * Where a count is on the scale: by its square root, so that few are seen beside many.
 * @returns {number} 0 to STEPS - 1
 */
export const stepOf = (count, most) => Math.round(Math.sqrt(count / most) * (STEPS - 1));

function cellColours([from, to]) {
  return Array.from({ length: STEPS }, (_, i) => {
    const t = i / (STEPS - 1);
    const [l, c, h] = ["l", "c", "h"].map((name) => from[name] + (to[name] - from[name]) * t);
    return `oklch(${l.toFixed(4)} ${c.toFixed(4)} ${h.toFixed(1)})`;
  });
}
