// Which instances of a prefix the messages of a marked region come from.

import { ask, curlLine } from "./api.js";
import { countText, percentText, valueText } from "./numbers.js";
import { columnTitle, hoursText, indexAt } from "./picture.js";
import { hourSeconds } from "./zones.js";

function originsPath(key, { from, to, over, upto }) {
  const query = new URLSearchParams();
  if (over >= 0) query.set("over", String(over));
  if (upto !== Infinity) query.set("upto", String(upto));
  return `${encodeURIComponent(key)}/keys/${from === to ? from : `${from}..${to}`}?${query}`;
}

export function markTitle(picture, { from, to, over, upto }) {
  const [first, last] = [from, to].map((hour) => picture.columns[indexAt(picture, hourSeconds(hour))]);
  if (!first || !last) return "Marked hours are not shown";
  const values = upto === Infinity ? `above ${valueText(over)}` : over < 0 ? `at most ${valueText(upto)}` : `${valueText(over)}–${valueText(upto)}`;
  if (first === last) return `${columnTitle(first, picture.zone)}: ${values}`;
  const start = columnTitle(first, picture.zone).split("–")[0];
  const end = hoursText(last, picture.zone).split("–")[1];
  return `${start}–${end}: ${values}`;
}

/**
 * Ask, and list the instances with most of the marked messages.
 * @param {(key: string) => void} onChoose An instance was clicked.
 * @returns {Promise<string>} What was found, in a sentence.
 */
export async function showOrigins(box, key, mark, signal, onChoose) {
  const path = originsPath(key, mark);
  const answer = await ask(path, { signal });
  const sentence = document.createElement("p");
  sentence.className = "note";
  sentence.textContent = answer.count
    ? `${countText(answer.count)} messages, ${percentText(answer.count / answer.of)} of these hours. The instances with most of them:`
    : "No messages in it.";
  const list = document.createElement("ol");
  list.className = "origins";
  list.append(...answer.keys.map((each) => originItem(each, answer, onChoose)));
  box.replaceChildren(sentence, list);
  document.getElementById("marked-curl").textContent = curlLine(path);
  const first = answer.keys[0];
  return first ? `Most of the marked messages come from ${first.key}: ${percentText(first.count / answer.count)}.` : "No messages are marked.";
}

/** One instance: its share of what is marked, and how much of its own messages that is. */
function originItem({ key, count, of }, answer, onChoose) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = key;
  button.onclick = () => onChoose(key);
  const share = document.createElement("span");
  share.className = "share";
  share.textContent = percentText(count / answer.count);
  const meter = document.createElement("span");
  meter.className = "meter";
  const fill = document.createElement("span");
  fill.style.width = `${(100 * count) / answer.count}%`;
  meter.append(fill);
  const own = document.createElement("span");
  own.className = "own";
  own.textContent = `${countText(count)} of its ${countText(of)} messages, ${percentText(count / of)}`;
  item.append(button, share, meter, own);
  return item;
}
