// Who is logged in.

import { reactive } from "vue";
import { ApiError, api, onUnauthorized } from "../api/http";
import type { Role, Session } from "../api/types";
import { suggestLang } from "./preferences";

export const session = reactive({
  /** `unknown` until the server was asked. */
  state: "unknown" as "unknown" | "in" | "out",
  data: null as Session | null,
});

onUnauthorized.call = () => {
  session.state = "out";
  session.data = null;
};

/** Asks the server who we are; throws only when it cannot be asked. */
export async function loadSession() {
  try {
    session.data = await api.session();
    session.state = "in";
    suggestLang(session.data.language);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  }
}

/** Asks again how a model is that was not ready; keeps what is known when that fails. */
export async function followModel() {
  if (!session.data?.model || session.data.model.ready) return;
  const { model } = await api.session();
  session.data.model = model;
}

export async function login(token: string) {
  await api.login(token);
  await loadSession();
}

export async function logout() {
  await api.logout();
  onUnauthorized.call();
}

/** Whether the operator holds `role`; an administrator holds every role. */
export function has(role: Role): boolean {
  const roles = session.data?.actor.roles ?? [];
  return roles.includes(role) || roles.includes("admin");
}
