// The read token: asked for where the service wants one, and kept for this tab only.

const NAME = "metrics-read-token";

let asking = null;

/** Empty if there is none. */
export const token = () => sessionStorage.getItem(NAME) ?? "";

export const forgetToken = () => sessionStorage.removeItem(NAME);

/**
 * Ask for a token; who asks meanwhile waits for the same answer.
 * @param {string} detail Why.
 * @returns {Promise<boolean>} Whether there is one now.
 */
export function askForToken(detail) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const input = document.getElementById("token");
    document.getElementById("token-detail").textContent = detail;
    document.getElementById("token-cancel").onclick = () => dialog.close("");
    dialog.returnValue = "";
    dialog.onclose = () => {
      const given = dialog.returnValue === "ok" ? input.value.trim() : "";
      input.value = "";
      if (given) sessionStorage.setItem(NAME, given);
      asking = null;
      resolve(given !== "");
    };
    dialog.showModal();
    input.focus();
  });
  return asking;
}
