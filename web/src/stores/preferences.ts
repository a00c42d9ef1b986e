// What the reader chose for this browser: language and appearance.

import { reactive, watchEffect } from "vue";
import type { Lang } from "../api/types";

export type Theme = "auto" | "light" | "dark";

const LANG = "kubemate.lang";
const THEME = "kubemate.theme";

/** Storage may be forbidden; then choices last as long as the page. */
function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key: string, value: string) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // see `stored`
  }
}

const ofBrowser: Lang = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
const lang = stored(LANG);
const theme = stored(THEME);

export const preferences = reactive({
  lang: (lang === "zh" || lang === "en" ? lang : ofBrowser) as Lang,
  theme: (theme === "light" || theme === "dark" ? theme : "auto") as Theme,
});

export function chooseLang(lang: Lang) {
  preferences.lang = lang;
  store(LANG, lang);
}

/** The operator's configured language, where this browser has no choice of its own. */
export function suggestLang(lang: Lang | null) {
  if (lang && !stored(LANG)) preferences.lang = lang;
}

export function chooseTheme(theme: Theme) {
  preferences.theme = theme;
  store(THEME, theme);
}

/** Keeps the document in step with the choices. */
export function applyPreferences() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const on = preferences.theme === "dark" || (preferences.theme === "auto" && dark.matches);
    document.documentElement.classList.toggle("dark", on);
    document.documentElement.lang = preferences.lang === "zh" ? "zh-CN" : "en";
  };
  watchEffect(apply);
  dark.addEventListener("change", apply);
}
