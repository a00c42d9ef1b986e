// Both languages say everything, with the same parameters.
import { expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";
import { translate, type Key } from "../src/i18n";

const parameters = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((match) => match[0]).sort();

it("has the same keys in the same order", () => {
  expect(Object.keys(zh)).toEqual(Object.keys(en));
});

it("has the same parameters, and no empty or untranslated text", () => {
  const names = new Set(["Pod"]);
  for (const key of Object.keys(en) as Key[]) {
    expect(parameters(zh[key]), key).toEqual(parameters(en[key]));
    expect(zh[key], key).not.toBe("");
    if (!names.has(zh[key])) expect(/[\u4e00-\u9fff]/.test(zh[key]), `${key} is not Chinese`).toBe(true);
  }
});

it("puts parameters in", () => {
  expect(translate("en", "cluster.notHealthy", { count: 2, total: 9 })).toBe("2 of 9 workloads need attention");
  expect(translate("zh", "changes.by", { name: "alice" })).toBe("alice 提出");
});
