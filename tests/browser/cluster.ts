// What to talk about: workloads the cluster under test really has, so that the tests fit any repository.

import { read } from "./world";

interface Workload {
  object: string;
  desired: number | null;
  health: string;
  unit: string | null;
}

export interface Target {
  name: string;
  namespace: string;
  replicas: number;
}

async function scalable(): Promise<Target[]> {
  const { workloads } = await read<{ workloads: Workload[] }>("/cluster", "alice");
  return workloads
    .filter((w) => w.unit !== null && w.health === "healthy" && w.object.startsWith("apps/v1/Deployment/"))
    .map((w) => {
      const [namespace = "", name = ""] = w.object.split("/").slice(-2);
      return { name, namespace, replicas: w.desired ?? 1 };
    });
}

/** A healthy Deployment that git declares; `which` tells apart the tests that change one. */
export async function deployment(which: number): Promise<Target> {
  const all = await scalable();
  const found = all[which % all.length];
  if (!found) throw new Error("the cluster under test has no healthy Deployment that git declares");
  return found;
}

/** A name that two namespaces have. */
export async function ambiguous(): Promise<string> {
  const names = (await scalable()).map((target) => target.name);
  const found = names.find((name, at) => names.indexOf(name) !== at);
  if (!found) throw new Error("the cluster under test has no workload name in two namespaces");
  return found;
}
