// The fields for days, the zone, and what the numbers are compared with.

import { DAYS_MAX, addDays, countDays, dateAt, datesOf, isZone, zonesToChoose } from "./zones.js";

const element = (id) => document.getElementById(id);

export function makeDayPicker(current, onChange) {
  const now = () => Date.now() / 1000;
  const dates = () => datesOf(current().day, current().tz, now());

  /** Keep the range within what one question may ask: the end that was not changed gives way. */
  function changeTo(from, to, changed) {
    if (!from || !to) return;
    let [first, last] = [from, to];
    if (last < first) [first, last] = changed === "from" ? [first, first] : [last, last];
    if (countDays(first, last) > DAYS_MAX) {
      if (changed === "from") last = addDays(first, DAYS_MAX - 1);
      else first = addDays(last, 1 - DAYS_MAX);
    }
    onChange({ day: first === last ? first : `${first}..${last}` });
  }

  function move(direction) {
    const [from, to] = dates();
    const days = countDays(from, to) * direction;
    changeTo(addDays(from, days), addDays(to, days), "from");
  }

  element("from").addEventListener("change", () => changeTo(element("from").value, element("to").value, "from"));
  element("to").addEventListener("change", () => changeTo(element("from").value, element("to").value, "to"));
  element("earlier").addEventListener("click", () => move(-1));
  element("later").addEventListener("click", () => move(1));
  for (const button of document.querySelectorAll("[data-days]")) {
    button.addEventListener("click", () => {
      const { days } = button.dataset;
      const today = dateAt(now(), current().tz);
      onChange({ day: Number(days) ? `${addDays(today, 1 - Number(days))}..${today}` : days });
    });
  }
  element("zone").addEventListener("change", () => onChange({ tz: element("zone").value, hour: current().hour }));
  element("zone").addEventListener("focus", fillZones, { once: true });
  element("compare").addEventListener("change", () => onChange({ compare: element("compare").value }));
}

/** Show what is chosen. */
export function showDays(state) {
  const [from, to] = datesOf(state.day, state.tz, Date.now() / 1000);
  const today = dateAt(Date.now() / 1000, state.tz);
  Object.assign(element("from"), { value: from, max: today });
  Object.assign(element("to"), { value: to, max: today });
  element("later").disabled = to >= today;
  for (const button of document.querySelectorAll("[data-days]")) {
    const { days } = button.dataset;
    const isOn = Number(days) ? from === addDays(today, 1 - Number(days)) && to === today : datesOf(days, state.tz, Date.now() / 1000).join() === [from, to].join();
    button.setAttribute("aria-pressed", String(isOn));
  }
  addZone(state.tz);
  element("zone").value = state.tz;
  element("compare").value = state.compare;
}

/** The zones are many, and seldom asked for. */
function fillZones() {
  zonesToChoose().forEach(addZone);
}

function addZone(zone) {
  const select = element("zone");
  if (!isZone(zone) || [...select.options].some((option) => option.value === zone)) return;
  select.append(new Option(zone.replaceAll("_", " "), zone));
}

/** What is compared with, `auto` or not: 1d, 7d, 28d; empty for nothing. */
export function compareOf(state) {
  if (state.compare === "off") return "";
  if (state.compare !== "auto") return state.compare;
  const days = countDays(...datesOf(state.day, state.tz, Date.now() / 1000));
  return days === 1 ? "1d" : days <= 7 ? "7d" : "28d";
}
