// The API's documents, named and spelled as in /api/openapi.json.

export type Lang = "zh" | "en";
export type Role = "viewer" | "operator" | "approver" | "admin";

export interface Actor {
  name: string;
  groups: string[];
  roles: Role[];
  channel: "web" | "cli" | "api";
}

export interface Session {
  actor: Actor;
  model: { id: string; ready: boolean; detail: string | null } | null;
  version: string;
  language: Lang | null;
}

export interface Thread {
  id: string;
  title: string;
  opened_by: string;
  created: string;
  updated: string;
}

export interface Message {
  thread: string;
  /** Position in the thread, from 1. */
  id: number;
  speaker: { who: "operator"; actor: Actor } | { who: "kubemate" };
  blocks: Block[];
  at: string;
}

export type Block =
  | { type: "text"; text: string }
  | { type: "evidence"; evidence: Evidence }
  | { type: "choices"; question: string; choices: Choice[] }
  | { type: "change"; change: string; state: ChangeState; summary: string }
  | { type: "refusal"; code: string; reason: string }
  | { type: "error"; message: string };

export interface Choice {
  label: string;
  say: string;
}

export interface Evidence {
  id: string;
  tool: string;
  title: string;
  source: string;
  query: string;
  time: string[];
  link: string | null;
  columns: string[];
  rows: string[][];
  text: string | null;
  truncated: string | null;
}

export type TurnEvent =
  | { event: "accepted"; message: Message }
  | { event: "progress"; phase: string; text: string }
  | { event: "delta"; text: string }
  | { event: "message"; message: Message }
  | { event: "done" }
  | { event: "change"; change: Change };

export type ChangeState =
  | "planning"
  | "proposed"
  | "approved"
  | "merged"
  | "applying"
  | "healthy"
  | "degraded"
  | "rejected"
  | "stale"
  | "failed";

export type Operation =
  | { op: "scale"; target: string; replicas: number }
  | { op: "set_image"; target: string; container: string | null; image: string }
  | { op: "set_env"; target: string; container: string | null; set: Record<string, string>; unset: string[] }
  | {
      op: "set_resources";
      target: string;
      container: string | null;
      requests: Record<string, string>;
      limits: Record<string, string>;
    }
  | { op: "restart"; target: string; at: string }
  | { op: "rollback"; target: string; revision: string | null }
  | { op: "undo"; change: string };

export interface Change {
  id: string;
  thread: string;
  requested_by: string;
  request: string;
  summary: string;
  operations: Operation[];
  model: string | null;
  prompt: string | null;
  state: ChangeState;
  message: string | null;
  base: string | null;
  branch: string | null;
  head: string | null;
  plan: Plan | null;
  approvals: Approval[];
  merged: string | null;
  created: string;
  updated: string;
  applied: string | null;
  finished: string | null;
  undoes: string | null;
  version: number;
  /** Only of GET /changes/{id}: why the caller could not approve. */
  cannot_approve?: { code: string; reason: string } | null;
}

export interface Plan {
  hash: string;
  /** Empty in lists and events. */
  files: FileDiff[];
  /** Empty in lists and events. */
  objects: ObjectDiff[];
  findings: Finding[];
}

export interface FileDiff {
  path: string;
  diff: string;
  before: string | null;
  after: string | null;
}

export interface ObjectDiff {
  object: string;
  unit: string;
  rendered_diff: string;
  live_diff: string | null;
  takeovers: string[];
}

export interface Finding {
  check: string;
  severity: "info" | "warning" | "error";
  object: string | null;
  location: string | null;
  message: string;
  fix: string | null;
}

export interface Approval {
  by: string;
  plan: string;
  head: string;
  comment: string | null;
  at: string;
}

export type Health = "healthy" | "progressing" | "unknown" | "degraded";

export interface Overview {
  at: string;
  namespaces: NamespaceOverview[];
  workloads: WorkloadOverview[];
  nodes: NodeOverview[];
}

export interface NamespaceOverview {
  name: string;
  environment: string | null;
  phase: string;
  health: Health;
}

export interface WorkloadOverview {
  object: string;
  desired: number | null;
  ready: number;
  health: Health;
  message: string | null;
  images: string[];
  created: string | null;
  unit: string | null;
}

export interface NodeOverview {
  name: string;
  health: Health;
  message: string | null;
  version: string | null;
  pods: number;
  /** Requested and allocatable, millicores. */
  cpu: [number, number];
  /** Requested and allocatable, bytes. */
  memory: [number, number];
}
