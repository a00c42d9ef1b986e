// Short messages over the page.

import { reactive } from "vue";
import { ApiError } from "../api/http";
import { t } from "../i18n";

const SHOWN = 5_000;
/** A connection that is back sooner was not worth a word. */
const PATIENCE = 1_200;

export const notices = reactive({
  said: null as { kind: "good" | "bad"; text: string } | null,
  lost: false,
});

let hide = 0;
let notice = 0;

export function say(kind: "good" | "bad", text: string) {
  notices.said = { kind, text };
  window.clearTimeout(hide);
  hide = window.setTimeout(() => (notices.said = null), SHOWN);
}

/** What an error means to the reader. */
export function explain(error: unknown): { text: string; hint: string } {
  if (!(error instanceof ApiError)) return { text: t("app.failed"), hint: String(error) };
  if (error.status === 0) return { text: t("app.unreachable"), hint: t("app.unreachableHint") };
  return { text: error.message, hint: error.hint };
}

export function sayError(error: unknown) {
  const { text, hint } = explain(error);
  say("bad", [text, hint].filter(Boolean).join(" — "));
}

/** Whether an event stream that had worked is away. */
export function connection(lost: boolean) {
  window.clearTimeout(notice);
  if (!lost) notices.lost = false;
  else notice = window.setTimeout(() => (notices.lost = true), PATIENCE);
}
