// The console's words in the language of the reader.

import type { Lang } from "./api/types";
import { en } from "./i18n/en";
import { zh } from "./i18n/zh";
import { preferences } from "./stores/preferences";

export type Key = keyof typeof en;

const TABLES: Record<Lang, Record<Key, string>> = { en, zh };

/** The text of `key` in `lang`; `{name}` is replaced by the parameter of that name. */
export function translate(lang: Lang, key: Key, params: Record<string, string | number> = {}): string {
  return TABLES[lang][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in params ? String(params[name]) : whole,
  );
}

/** The text of `key` in the current language; reactive. */
export function t(key: Key, params?: Record<string, string | number>): string {
  return translate(preferences.lang, key, params);
}
