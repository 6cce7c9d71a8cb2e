// The field for a key, with the known keys below it while one types: an ARIA combobox.
// Source: W3C, ARIA Authoring Practices Guide, "Combobox pattern", list autocomplete.

import { ask } from "./api.js";
import { isKey } from "./state.js";

const SHOWN = 50;
const WAIT_MS = 120;

export function makeKeyPicker(input, list, onChoose, say) {
  let active = -1;
  let timer = 0;
  let asked = new AbortController();

  const options = () => [...list.querySelectorAll("[role=option]")];

  function close() {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(key) {
    close();
    if (!isKey(key)) {
      input.setCustomValidity("A key has A–Z a–z 0–9 . _ : - and begins with a letter or digit; a star at its end stands for all that begin so.");
      input.reportValidity();
      return;
    }
    input.value = key;
    // Arrows are the charts' from here on.
    input.blur();
    onChoose(key);
  }

  function activate(index) {
    const all = options();
    active = all.length ? (index + all.length) % all.length : -1;
    all.forEach((each, i) => each.setAttribute("aria-selected", String(i === active)));
    all[active]?.scrollIntoView({ block: "nearest" });
    if (all[active]) input.setAttribute("aria-activedescendant", all[active].id);
  }

  async function suggest() {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const prefix = input.value.trim().replace(/\*$/, "");
    if (prefix && !isKey(prefix)) return close();
    let found;
    try {
      found = await ask(`keys?${new URLSearchParams({ prefix, limit: String(SHOWN) })}`, { signal });
    } catch (error) {
      if (!signal.aborted) say(error.message);
      return undefined;
    }
    if (signal.aborted || document.activeElement !== input) return undefined;
    const keys = found.keys.map(({ key }) => key);
    fill([...prefixesOf(prefix, keys), ...keys], Boolean(found.next));
    return say(keys.length ? `${keys.length}${found.next ? " and more" : ""} keys` : "No key begins so");
  }

  function fill(texts, more) {
    list.replaceChildren(...texts.map((text, i) => {
      const option = document.createElement("li");
      option.id = `key-option-${i}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.textContent = text;
      return option;
    }));
    if (more) list.append(noteOf("… and more: type on"));
    if (!texts.length) list.append(noteOf("No key begins so"));
    list.hidden = false;
    active = -1;
    input.setAttribute("aria-expanded", "true");
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(suggest, WAIT_MS);
  }

  input.addEventListener("input", () => {
    input.setCustomValidity("");
    soon();
  });
  input.addEventListener("focus", () => {
    input.select();
    soon();
  });
  input.addEventListener("blur", () => setTimeout(close, 150));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) soon();
      else activate(active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(options()[active]?.textContent ?? input.value.trim());
    } else if (event.key === "Escape") {
      close();
    }
  });
  // Before the field loses the focus.
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("[role=option]");
    if (option) choose(option.textContent);
  });
}

function noteOf(text) {
  const note = document.createElement("li");
  note.className = "note";
  note.setAttribute("role", "presentation");
  note.textContent = text;
  return note;
}

/** Prefixes to offer: what was typed, and what the keys have in common up to a separator. */
function prefixesOf(typed, keys) {
  const counts = new Map();
  for (const key of keys) {
    const end = /[._:-]/.exec(key.slice(typed.length));
    if (end) {
      const prefix = `${key.slice(0, typed.length + end.index + 1)}*`;
      counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
    }
  }
  const common = [...counts].filter(([, count]) => count > 1).map(([prefix]) => prefix);
  return [...new Set([...(keys.length > 1 ? [`${typed}*`] : []), ...common.slice(0, 8)])];
}
