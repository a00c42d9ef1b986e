// What the states of a change mean, and the examples an empty conversation offers.
import { expect, it } from "vitest";
import type { Overview } from "../src/api/types";
import { examples } from "../src/lib/examples";
import { objectName, shortImage } from "../src/lib/object";
import { summaryOf } from "../src/lib/summary";
import { age } from "../src/lib/time";
import { matches, stepStates } from "../src/stores/changes";

it("shows how far a change has come, and where it ended", () => {
  const done = "done";
  const table = [
    [{ state: "planning" }, ["now", "ahead", "ahead", "ahead", "ahead"]],
    [{ state: "proposed" }, ["now", "ahead", "ahead", "ahead", "ahead"]],
    [{ state: "applying" }, [done, done, done, "now", "ahead"]],
    [{ state: "healthy" }, [done, done, done, done, done]],
    [{ state: "rejected" }, [done, "bad", "ahead", "ahead", "ahead"]],
    [{ state: "stale", approvals: [1] }, [done, done, "bad", "ahead", "ahead"]],
    [{ state: "degraded", approvals: [1], merged: "a", applied: "b" }, [done, done, done, done, "bad"]],
  ] as const;
  for (const [change, states] of table) expect(stepStates({ ...change }), change.state).toEqual(states);
});

it("sorts every state into one drawer", () => {
  const states = ["planning", "proposed", "approved", "merged", "applying", "healthy", "degraded", "rejected", "stale", "failed"] as const;
  for (const state of states) {
    const drawers = (["waiting", "running", "done"] as const).filter((filter) => matches(filter, state));
    expect(drawers, state).toHaveLength(1);
    expect(matches("all", state)).toBe(true);
  }
});

it("names objects and images shortly", () => {
  expect(objectName("apps/v1/Deployment/demo/api")).toEqual({ kind: "Deployment", namespace: "demo", name: "api" });
  expect(objectName("v1/Node/worker-1")).toEqual({ kind: "Node", namespace: "", name: "worker-1" });
  expect(shortImage("registry.example.org:5000/team/api:1.2@sha256:abc")).toBe("api:1.2");
});

it("writes ages as Kubernetes does", () => {
  const now = Date.parse("2026-01-10T00:00:00Z");
  expect(["2026-01-09T23:59:01Z", "2026-01-09T23:00:00Z", "2026-01-09T10:00:00Z", "2026-01-01T00:00:00Z"].map((at) => age(at, now))).toEqual(["59s", "60m", "14h", "9d"]);
});

it("offers requests about what the cluster has", () => {
  const workload = (name: string, health: "healthy" | "degraded") => ({
    object: `apps/v1/Deployment/demo/${name}`,
    desired: 2,
    ready: 2,
    health,
    message: null,
    images: [],
    created: null,
    unit: "demo",
  });
  const overview: Overview = { at: "", namespaces: [], nodes: [], workloads: [workload("api", "healthy"), workload("jobs", "degraded")] };
  expect(examples(overview, "en")).toEqual([
    "What is wrong right now?",
    "Why is jobs in demo not healthy?",
    "Scale api in demo to 3",
    "Show me the logs of api in demo",
    "/help",
  ]);
  expect(examples(null, "zh")).toEqual(["现在有什么问题？", "/help"]);
});

it("says what a change does in the reader's language", () => {
  const target = "apps/v1/Deployment/demo/web";
  const change = {
    summary: "Scale demo/web to 5",
    operations: [
      { op: "scale" as const, target, replicas: 5 },
      { op: "set_env" as const, target, container: "app", set: { A: "1" }, unset: ["B"] },
      { op: "set_resources" as const, target, container: null, requests: {}, limits: { memory: "1Gi" } },
      { op: "rollback" as const, target, revision: null },
    ],
  };
  expect(summaryOf(change, "en")).toBe("Scale demo/web to 5");
  expect(summaryOf(change, "zh")).toBe(
    "将 demo/web 的副本数改为 5；修改 demo/web（容器 app）的环境变量：设置 A，移除 B；修改 demo/web 的资源：上限 memory=1Gi；将 demo/web 回滚到上一个状态",
  );
});
