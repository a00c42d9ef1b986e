// Requests to the API, and the one error they fail with.

import type {
  Actor,
  Change,
  Message,
  Overview,
  Session,
  Thread,
} from "./types";

/** Why a request failed: what was wrong and what to do next, in the server's words. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when the server cannot be reached. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Called when the session is over, wherever that was noticed. */
export const onUnauthorized: { call: () => void } = { call: () => {} };

/** The error a response stands for. */
export async function errorOf(response: Response): Promise<ApiError> {
  if (response.status === 401) onUnauthorized.call();
  const problem = (await response.json().catch(() => ({}))) as Partial<{
    code: string;
    error: string;
    hint: string;
  }>;
  return new ApiError(
    response.status,
    problem.code ?? "unknown",
    problem.error ?? `HTTP ${response.status}`,
    problem.hint ?? "",
  );
}

async function call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, headers: { accept: "application/json" } };
  if (body !== undefined) {
    init.headers = { ...init.headers, "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, init);
  } catch {
    throw new ApiError(0, "unreachable", "", "");
  }
  if (!response.ok) throw await errorOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

const enc = encodeURIComponent;

/** Everything the console asks of the server. */
export const api = {
  login: (token: string) => call<Actor>("POST", "/login", { token }),
  logout: () => call<void>("POST", "/logout"),
  session: () => call<Session>("GET", "/session"),
  threads: () => call<Thread[]>("GET", "/threads"),
  openThread: () => call<Thread>("POST", "/threads", {}),
  thread: (id: string) =>
    call<{ thread: Thread; messages: Message[]; changes: Change[] }>("GET", `/threads/${enc(id)}`),
  say: (id: string, text: string) =>
    call<Message>("POST", `/threads/${enc(id)}/messages`, { text }),
  changes: () => call<Change[]>("GET", "/changes"),
  change: (id: string) => call<Change>("GET", `/changes/${enc(id)}`),
  approve: (id: string, plan_hash: string, comment: string) =>
    call<Change>("POST", `/changes/${enc(id)}/approve`, { plan_hash, comment }),
  reject: (id: string, plan_hash: string | null, comment: string) =>
    call<Change>("POST", `/changes/${enc(id)}/reject`, { plan_hash, comment }),
  cluster: () => call<Overview>("GET", "/cluster"),
  complete: (prefix: string) => call<string[]>("GET", `/commands?prefix=${enc(prefix)}`),
};
