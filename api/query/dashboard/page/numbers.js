// Numbers as text: three significant digits for values, all digits for counts.

const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const threeDigits = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const percents = new Intl.NumberFormat("en", { style: "percent", maximumSignificantDigits: 2 });

/** 36,000 */
export const countText = (count) => counts.format(count);

/** 36K */
export const compactText = (count) => compact.format(count);

/** 3.2% */
export const percentText = (share) => percents.format(share);

/** 123, 1.23, 0.00123, 61.2M */
export function valueText(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (size >= 1e7) return threeDigits.format(value);
  if (size >= 1000) return counts.format(value);
  return String(Number(value.toPrecision(3)));
}

/** The same, shorter: for axes. */
export const tickText = (value) => (value >= 1e4 && value < 1e15 ? compactText(value) : valueText(value));

/** How a value stands to the one before: "+8 %", or nothing to say. */
export function changeText(value, before) {
  if (!value || !before) return "";
  const change = value / before - 1;
  if (Math.abs(change) < 0.005) return "±0 %";
  if (change >= 9) return `×${Math.round(value / before)}`;
  return `${change > 0 ? "+" : "−"}${Math.round(Math.abs(change) * 100)} %`;
}
