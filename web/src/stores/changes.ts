// Changes and what their states mean.

import { reactive } from "vue";
import { api } from "../api/http";
import type { Change, ChangeState } from "../api/types";
import { has, session } from "./session";

export type ChangeFilter = "all" | "waiting" | "running" | "done";

/** The steps of a change that goes well. */
export const STEPS = ["proposed", "approved", "merged", "applying", "healthy"] as const;

const FINAL: ChangeState[] = ["healthy", "degraded", "rejected", "stale", "failed"];

export const isFinal = (state: ChangeState) => FINAL.includes(state);

export function matches(filter: ChangeFilter, state: ChangeState): boolean {
  switch (filter) {
    case "all":
      return true;
    case "waiting":
      return state === "proposed";
    case "done":
      return isFinal(state);
    case "running":
      return state !== "proposed" && !isFinal(state);
  }
}

export type StepState = "done" | "now" | "ahead" | "bad";

/** How each of the steps of a change stands. */
export function stepStates(change: {
  state: ChangeState;
  approvals?: readonly unknown[];
  merged?: string | null;
  applied?: string | null;
}): StepState[] {
  const { state } = change;
  const at = STEPS.indexOf(state as (typeof STEPS)[number]);
  if (at >= 0) {
    const last = STEPS.length - 1;
    return STEPS.map((_, step) => (step < at || at === last ? "done" : step === at ? "now" : "ahead"));
  }
  if (state === "planning") return ["now", "ahead", "ahead", "ahead", "ahead"];
  // it ended on the way: at the step after the last that was reached
  let reached = 1;
  if (change.approvals?.length) reached = 2;
  if (change.merged) reached = 3;
  if (change.applied) reached = 4;
  return STEPS.map((_, step) => (step < reached ? "done" : step === reached ? "bad" : "ahead"));
}

export const changes = reactive({
  list: null as Change[] | null,
  error: null as unknown,
});

export async function loadChanges() {
  try {
    changes.list = await api.changes();
    changes.error = null;
  } catch (error) {
    changes.error = error;
  }
}

/** A newer record of a change, wherever it came from. */
export function noteChange(change: Change) {
  const at = changes.list?.findIndex((known) => known.id === change.id) ?? -1;
  const known = changes.list?.[at];
  if (known && changes.list && known.version < change.version) changes.list[at] = change;
}

/** How many changes wait for this operator's approval. */
export function waitingForMe(): number {
  const me = session.data?.actor.name;
  if (!has("approver")) return 0;
  return (changes.list ?? []).filter((c) => c.state === "proposed" && c.requested_by !== me).length;
}
