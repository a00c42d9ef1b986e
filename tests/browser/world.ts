// What the browser tests share: a running kubemate, its operators' tokens, Chromium, and pages that are watched.
//
// Environment:
//   KUBEMATE_URL       where it runs (http://127.0.0.1:8080)
//   KUBEMATE_TOKENS    its tokens.json: [{"name": ..., "token": ...}, ...]
//   KUBEMATE_SCREENSHOTS  where screenshots go; none are taken without it
//   KUBEMATE_CHROMIUM  the browser (/usr/bin/chromium)

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

export const url = process.env.KUBEMATE_URL ?? "http://127.0.0.1:8080";
const shots = process.env.KUBEMATE_SCREENSHOTS;

const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/** The token of an operator. */
export function token(name: string): string {
  const file = process.env.KUBEMATE_TOKENS;
  if (!file) throw new Error("KUBEMATE_TOKENS does not name the tokens.json of the kubemate under test");
  const tokens = JSON.parse(readFileSync(file, "utf8")) as { name: string; token: string }[];
  const found = tokens.find((known) => known.name === name);
  if (!found) throw new Error(`${file} has no token of ${name}`);
  return found.token;
}

/** An API document, read as an operator. */
export async function read<T>(path: string, name: string): Promise<T> {
  const response = await fetch(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${token(name)}` } });
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env.KUBEMATE_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

export interface Look {
  width: number;
  height: number;
  theme: "light" | "dark";
  lang: "en" | "zh";
}

export const WIDE: Look = { width: 1440, height: 900, theme: "light", lang: "en" };
export const NARROW: Look = { width: 390, height: 844, theme: "light", lang: "en" };

/** What went wrong on pages: script errors, violations of the content security policy, requests to other hosts. */
export const complaints: string[] = [];

/** A fresh page, as if of a new visitor. */
export async function visit(browser: Browser, look: Look = WIDE): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: look.width, height: look.height },
    colorScheme: look.theme,
    locale: look.lang === "zh" ? "zh-CN" : "en-US",
    hasTouch: look.width < 600,
    isMobile: look.width < 600,
    deviceScaleFactor: look.width < 600 ? 2 : 1,
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("console", (message) => {
    // the answer 401 before the login is told by the browser, too
    const expected = /status of 40[14]/.test(message.text());
    if (message.type() === "error" && !expected) complaints.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) {
      complaints.push(`request to another host: ${request.url()}`);
    }
  });
  await page.goto(url);
  return page;
}

/** A page of somebody who has logged in. */
export async function logIn(browser: Browser, name: string, look: Look = WIDE): Promise<Page> {
  const page = await visit(browser, look);
  await page.fill("#token", token(name));
  await page.keyboard.press("Enter");
  await page.waitForSelector(".welcome");
  return page;
}

/** Says something; resolves when the reply is there, with the reply's element. */
export async function say(page: Page, text: string, timeout = 110_000) {
  const replies = page.locator("article.reply");
  const before = await replies.count();
  await page.fill("textarea", text);
  await page.keyboard.press("Enter");
  const reply = replies.nth(before);
  await reply.waitFor({ timeout });
  return reply;
}

/** Keeps a picture of the page. */
export async function shoot(page: Page, name: string) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), animations: "disabled" });
}

export async function close(page: Page) {
  await page.context().close();
}
