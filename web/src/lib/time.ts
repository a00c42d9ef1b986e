// Times as people read them.

import type { Lang } from "../api/types";

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

const locale = (lang: Lang) => (lang === "zh" ? "zh-CN" : "en");

/** `3 minutes ago`; less than a minute is "now". */
export function ago(at: string, lang: Lang, now: number): string {
  const seconds = (Date.parse(at) - now) / 1000;
  const format = new Intl.RelativeTimeFormat(locale(lang), { numeric: "auto", style: "short" });
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

/** An age as Kubernetes writes it: `45s`, `12m`, `3h`, `8d`. */
export function age(at: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(at)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** The full local time, to the second. */
export function exact(at: string, lang: Lang): string {
  return new Intl.DateTimeFormat(locale(lang), { dateStyle: "medium", timeStyle: "medium" }).format(
    new Date(at),
  );
}

/** The time of day. */
export function clock(at: string, lang: Lang): string {
  return new Intl.DateTimeFormat(locale(lang), { hour: "2-digit", minute: "2-digit" }).format(
    new Date(at),
  );
}

/** Seconds between two times, with one decimal. */
export function seconds(from: string, to: string): string {
  return ((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1);
}
