// Questions to the query service. The token goes in a header, never into a URL.

import { askForToken, forgetToken, token } from "./token.js";

/** An answer that is an error; its text says what to do. */
export class Problem extends Error {
  /** @param {number} status 0 if there was no answer. */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The last answer by path, and its ETag: what has not changed is not sent again. */
const known = { path: "", etag: "", answer: null };

/**
 * @param {string} path Relative to the page.
 * @param {{signal?: AbortSignal, keep?: boolean}} [options] keep: remember the answer's ETag.
 * @returns {Promise<any>}
 * @throws {Problem}
 */
export async function ask(path, { signal, keep = false } = {}) {
  for (;;) {
    const sent = token();
    const response = await request(path, sent, signal, keep);
    if (response.status === 304) return known.answer;
    if (response.ok) {
      const answer = await response.json();
      if (keep) Object.assign(known, { path, etag: response.headers.get("ETag") ?? "", answer });
      return answer;
    }
    const problem = await problemOf(response);
    if (response.status !== 401) throw problem;
    // Another question may have got a better one meanwhile.
    if (token() !== sent) continue;
    forgetToken();
    if (!(await askForToken(problem.message))) throw problem;
  }
}

async function request(path, sent, signal, keep) {
  const headers = { Accept: "application/json" };
  if (sent) headers.Authorization = `Bearer ${sent}`;
  if (keep && known.path === path && known.etag) headers["If-None-Match"] = known.etag;
  try {
    return await fetch(path, { headers, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The query service does not answer. It is tried again.");
  }
}

async function problemOf(response) {
  const content = await response.json().catch(() => ({}));
  return new Problem(response.status, String(content.detail ?? `${response.status} ${response.statusText}`));
}

export function picturePath(key, days, parameters) {
  const query = new URLSearchParams(parameters).toString().replaceAll("%2F", "/");
  return `${encodeURIComponent(key)}/histogram/${days}${query && `?${query}`}`;
}

/** A line to paste into a shell that asks the same. */
export function curlLine(path) {
  const url = new URL(path, document.baseURI).href;
  const header = token() ? ' -H "Authorization: Bearer $TOKEN"' : "";
  return `curl -s${header} '${url.replaceAll("'", "%27")}'`;
}
