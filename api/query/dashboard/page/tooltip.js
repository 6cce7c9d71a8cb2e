// A small box beside the cursor that says what is there. Its text is text, never markup.

/** @param {HTMLElement} box The chart's. */
function tipIn(box) {
  let tip = box.querySelector(".tip");
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("aria-hidden", "true");
    box.append(tip);
  }
  return tip;
}

/**
 * @param {any} u The chart.
 * @param {[string, string, string?][]} rows
 * Name, value, and the value before.
 */
export function showTip(u, title, rows) {
  const tip = tipIn(u.root.parentElement);
  const heading = document.createElement("strong");
  heading.textContent = title;
  const table = document.createElement("div");
  table.className = "pairs";
  for (const [name, value, before = ""] of rows) {
    for (const [text, kind] of [[name, "name"], [value, "value"], [before, "before"]]) {
      const cell = document.createElement("span");
      cell.className = kind;
      cell.textContent = text;
      table.append(cell);
    }
  }
  tip.replaceChildren(heading, table);
  tip.hidden = false;
  place(u, tip);
}

export const hideTip = (u) => {
  tipIn(u.root.parentElement).hidden = true;
};

function place(u, tip) {
  const box = u.root.parentElement;
  const x = u.over.offsetLeft + u.cursor.left;
  const goesLeft = x + 18 + tip.offsetWidth > box.clientWidth;
  const left = goesLeft ? x - 18 - tip.offsetWidth : x + 18;
  const top = Math.min(u.over.offsetTop + Math.max(u.cursor.top, 0), box.clientHeight - tip.offsetHeight);
  tip.style.transform = `translate(${Math.max(0, Math.round(left))}px, ${Math.max(0, Math.round(top))}px)`;
}
