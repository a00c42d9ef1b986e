// One line that says what a change does, in the reader's language. The record's own summary is the commit's subject, in English.

import type { Change, Lang, Operation } from "../api/types";
import { objectName } from "./object";

/** The line. */
export function summaryOf(change: Pick<Change, "summary" | "operations">, lang: Lang): string {
  return lang === "en" ? change.summary : change.operations.map(chinese).join("；");
}

function chinese(operation: Operation): string {
  const place = "target" in operation ? placeOf(operation.target) : "";
  const container = "container" in operation && operation.container ? `（容器 ${operation.container}）` : " ";
  switch (operation.op) {
    case "scale":
      return `将 ${place} 的副本数改为 ${operation.replicas}`;
    case "set_image":
      return `将 ${place}${container}的镜像改为 ${operation.image.replace(/^:/, "")}`;
    case "set_env":
      return `修改 ${place}${container}的环境变量：${listed("设置", Object.keys(operation.set), "移除", operation.unset)}`;
    case "set_resources":
      return `修改 ${place}${container}的资源：${listed("请求", pairs(operation.requests), "上限", pairs(operation.limits))}`;
    case "restart":
      return `重启 ${place}`;
    case "rollback":
      return `将 ${place} 回滚到${operation.revision ? `提交 ${operation.revision.slice(0, 8)}` : "上一个状态"}`;
    case "undo":
      return `撤销变更 ${operation.change}`;
  }
}

function placeOf(target: string): string {
  const { namespace, name } = objectName(target);
  return namespace ? `${namespace}/${name}` : name;
}

function pairs(values: Record<string, string>): string[] {
  return Object.entries(values).map(([key, value]) => `${key}=${value}`);
}

function listed(first: string, firsts: string[], second: string, seconds: string[]): string {
  const parts = [
    [first, firsts],
    [second, seconds],
  ] as const;
  return parts
    .filter(([, values]) => values.length > 0)
    .map(([what, values]) => `${what} ${values.join("、")}`)
    .join("，");
}
