// All charts, legends and tables of one picture, and what is chosen in it.

import { compareOf } from "./day_picker.js";
import { fillHeadline, showHour } from "./hour_panel.js";
import { fillCountLegend, fillMainLegend, pointAtCount } from "./legend.js";
import { drawMessageCounts } from "./message_counts.js";
import { indexAt } from "./picture.js";
import { drawResponseTimes } from "./response_times.js";
import { fillCountsTable, fillHoursTable } from "./tables.js";
import { HOUR_S, datesOf, dayAt, hourSeconds } from "./zones.js";

const element = (id) => document.getElementById(id);

/** @param {State} state Whether regions can be marked: for what consists of several keys. */
export const canMark = (state) => state.key.endsWith("*") && state.view === "heatmap";

/** The hour that is open; -1 for none. */
export const chosenIndex = (picture, state) => (state.hour ? indexAt(picture, hourSeconds(state.hour)) : -1);

export function makeScreen(current, act) {
  let shown = null;

  /** Draw a picture from the beginning. */
  function draw(picture) {
    const state = current();
    const { left = -1, top = -1 } = shown?.main.chart.cursor ?? {};
    shown?.main.chart.destroy();
    shown?.counts.destroy();
    document.body.classList.remove("empty");
    const chosen = () => chosenIndex(picture, current());
    const main = drawResponseTimes(element("main-chart"), picture, {
      view: state.view,
      canMark: canMark(state),
      chosen,
      marked: () => markedOf(current()),
      onOpen: act.onOpen,
      onMark: act.onMark,
      onCell: (count) => shown && pointAtCount(element("main-legend"), count, shown.main.most),
    });
    const counts = drawMessageCounts(element("count-chart"), picture, { chosen, onOpen: act.onOpen });
    shown = { picture, main, counts };
    if (left >= 0) main.chart.setCursor({ left, top });
    const compare = compareOf(state);
    element("title").textContent = titleOf(state);
    fillHeadline(element("headline"), picture);
    fillMainLegend(element("main-legend"), picture, state.view, main.most, compare);
    fillCountLegend(element("count-legend"), compare);
    fillHoursTable(element("hours-table"), picture, state.key);
    fillCountsTable(element("counts-table"), picture, state.key);
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
    }
    element("mark-hint").hidden = !canMark(state);
    showHour(picture, chosen(), state);
  }

  /** Draw only what depends on the hour that is open and the region that is marked. */
  function redraw() {
    if (!shown) return;
    shown.main.chart.redraw(false);
    shown.counts.redraw(false);
    // What was drawn over the main chart was drawn over this one, too.
    shown.counts.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    showHour(shown.picture, chosenIndex(shown.picture, current()), current());
  }

  return { draw, redraw, shown: () => shown };
}

/** @param {State} state The marked region with its ends in seconds. */
const markedOf = ({ mark }) =>
  mark && { ...mark, start: hourSeconds(mark.from), end: hourSeconds(mark.to) + HOUR_S };

/** checkout.*, Mon 23 Nov */
function titleOf({ key, day, tz }) {
  const dates = datesOf(day, tz, Date.now() / 1000);
  const [from, to] = dates.map((date) => dayAt(Date.parse(date) / 1000, "UTC"));
  return `${key}, ${from === to ? from : `${from} – ${to}`}`;
}
