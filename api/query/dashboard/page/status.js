// The line at the foot: what is on its way, for how long, and whether everything was counted.

import { ask } from "./api.js";
import { countText } from "./numbers.js";
import { token } from "./token.js";

const OLD_S = 60;
const OLDEST = /^metrics_backlog_oldest_seconds(?:\{.*\})? (\S+)$/gm;

export async function showStatus(line) {
  const [audit, oldest] = await Promise.all([auditParts(), oldestPart()]);
  line.replaceChildren(...audit, oldest);
  document.getElementById("forget-token").hidden = !token();
}

async function auditParts() {
  try {
    return partsOf(await ask("audit"));
  } catch (error) {
    return [error.status === 403 ? partOf("audit: with a token for all keys") : partOf(error.message, "bad")];
  }
}

function partsOf({ total, balance, partitions }) {
  const parts = [];
  if (balance === true) parts.push(partOf("audit balances", "good"));
  else parts.push(partOf(balance === false ? "audit does not balance" : "audit not known", "bad"));
  if (!total) return [...parts, partOf(`${partitions.filter((each) => each.error).length} partitions cannot be read`, "bad")];
  const { backlog, dead } = total.entries;
  if (dead) parts.push(partOf(`${countText(dead)} dead letters`, "bad"));
  return [...parts, partOf(backlog ? `backlog ${countText(backlog)} ${backlog === 1 ? "entry" : "entries"}` : "backlog empty")];
}

/** How long the oldest message of all partitions has waited, as Prometheus is told it. */
async function oldestPart() {
  const text = await fetch("metrics").then((answer) => (answer.ok ? answer.text() : ""), () => "");
  const found = [...text.matchAll(OLDEST)].map(([, seconds]) => Number(seconds));
  if (!found.length) return partOf("oldest message not known");
  const seconds = Math.max(...found);
  return partOf(seconds ? `oldest message ${ageText(seconds)}` : "no message waits", seconds > OLD_S ? "bad" : "");
}

function ageText(seconds) {
  if (seconds < 1) return "under 1 s";
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** @param {string} [kind] good or bad */
function partOf(text, kind = "") {
  const part = document.createElement("span");
  part.className = `part ${kind}`;
  part.textContent = text;
  return part;
}
