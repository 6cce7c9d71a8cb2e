// Buttons that copy the line beside them.

export function makeCopyButtons(say) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copies]");
    if (!(button instanceof HTMLElement)) return;
    const source = document.getElementById(button.dataset.copies);
    const done = await copy(source);
    say(done ? "Copied" : "Selected: copy it with the keyboard");
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 1500);
  });
}

/** Copy the text; return whether the browser let it. */
async function copy(source) {
  try {
    // There for pages over HTTPS and of this machine only.
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}
