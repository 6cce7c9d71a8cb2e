// The cursor by keyboard: arrows move it, Enter opens its hour, Shift and arrows mark a region.

import { columnTitle } from "./picture.js";
import { countText, valueText } from "./numbers.js";
import { countRows, positionOf } from "./scale.js";

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export function makeKeyboard(shown, act) {
  let at = -1;
  let row = -1;
  let anchor = null;

  /** Where the cursor is by mouse, by keyboard, or at the hour that is open. */
  function place({ picture, main }) {
    const { idx, left } = main.chart.cursor;
    if (left >= 0 && idx !== null && idx !== undefined) at = idx;
    else if (at < 0 || at >= picture.columns.length) at = act.chosen() >= 0 ? act.chosen() : lastWithMessages(picture);
    if (row < 0 || row >= countRows(main.rows)) row = rowOfMedian(picture.columns[at], main.rows);
  }

  function move({ picture, main }, [hours, rows]) {
    // The first time, an arrow only shows where the cursor is.
    const isNew = at < 0 && act.chosen() < 0 && main.chart.cursor.left < 0;
    place({ picture, main });
    const last = picture.columns.length - 1;
    if (!isNew) at = Math.min(Math.max(at + hours, 0), last);
    row = Math.min(Math.max(row + rows, 0), countRows(main.rows) - 1);
    const { chart } = main;
    chart.setCursor({
      left: chart.valToPos(picture.columns[at].middle, "x"),
      top: chart.valToPos(main.rows.lowest + (row + 0.5) * main.rows.height, "y"),
    });
  }

  document.addEventListener("keydown", (event) => {
    const found = shown();
    if (!found || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key in MOVES) {
      const direction = MOVES[event.key];
      const isFocused = isChart(event.target);
      // Up and down scroll the page, unless a chart has the focus.
      if (direction[1] && !isFocused) return;
      event.preventDefault();
      if (event.shiftKey && act.canMark()) {
        place(found);
        anchor ??= { at, row };
      } else {
        anchor = null;
      }
      move(found, direction);
      if (anchor) {
        act.onMark({
          first: Math.min(anchor.at, at), last: Math.max(anchor.at, at),
          low: Math.min(anchor.row, row), high: Math.max(anchor.row, row),
        });
      } else {
        act.say(sentenceOf(found.picture, at));
      }
    } else if (event.key === "Enter" && !isPressable(event.target)) {
      place(found);
      act.onOpen(at);
    } else if (event.key === "Escape") {
      anchor = null;
      act.onClose();
    }
  });
}

function lastWithMessages({ columns }) {
  const last = columns.findLastIndex((column) => column.numbers);
  return last < 0 ? columns.length - 1 : last;
}

const rowOfMedian = (column, rows) =>
  column.numbers ? Math.floor((positionOf(rows, column.numbers.median) - rows.lowest) / rows.height) : 0;

const isChart = (target) => target instanceof Element && target.classList.contains("chart");
const isTyping = (target) => target instanceof Element && target.closest("input, select, textarea, dialog, .scroll, code") !== null;
const isPressable = (target) => target instanceof Element && target.closest("button, a, summary") !== null;

export function sentenceOf(picture, index) {
  const column = picture.columns[index];
  const title = columnTitle(column, picture.zone) + (column.open ? ", not complete" : "");
  const { numbers } = column;
  if (!numbers) return `${title}: no messages`;
  return `${title}: ${countText(numbers.count)} messages, median ${valueText(numbers.median)}, p90 ${valueText(numbers.p90)}, p99 ${valueText(numbers.p99)}, min ${valueText(numbers.min)}, max ${valueText(numbers.max)}`;
}
