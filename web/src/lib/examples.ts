// Requests to start with, made of what the cluster has, so that each of them works as it stands.

import type { Lang, Overview, WorkloadOverview } from "../api/types";
import { objectName } from "./object";

const SCALABLE = ["Deployment", "StatefulSet"];

/** Up to five requests in the reader's language; questions first. */
export function examples(overview: Overview | null, lang: Lang): string[] {
  const zh = lang === "zh";
  const workloads = overview?.workloads ?? [];
  const found = [zh ? "现在有什么问题？" : "What is wrong right now?"];
  const troubled = workloads.find((w) => w.health === "degraded");
  if (troubled) {
    const { name, namespace } = objectName(troubled.object);
    found.push(
      zh ? `${namespace} 的 ${name} 为什么不健康？` : `Why is ${name} in ${namespace} not healthy?`,
    );
  }
  const scalable = workloads.filter(
    (w) => w.unit !== null && w !== troubled && SCALABLE.includes(objectName(w.object).kind),
  );
  const [first, second] = [scalable[0], scalable.find((w) => !sameName(w, scalable[0]))];
  if (first) {
    const { name, namespace } = objectName(first.object);
    const replicas = (first.desired ?? 1) + 1;
    found.push(
      zh
        ? `把 ${namespace} 的 ${name} 扩到 ${replicas} 个副本`
        : `Scale ${name} in ${namespace} to ${replicas}`,
      zh ? `看一下 ${namespace} 里 ${name} 的日志` : `Show me the logs of ${name} in ${namespace}`,
    );
  }
  if (second) {
    const { name, namespace } = objectName(second.object);
    found.push(zh ? `重启 ${namespace} 的 ${name}` : `Restart ${name} in ${namespace}`);
  }
  return [...found, "/help"].slice(0, 6);
}

function sameName(a: WorkloadOverview, b: WorkloadOverview | undefined): boolean {
  return b !== undefined && objectName(a.object).name === objectName(b.object).name;
}
