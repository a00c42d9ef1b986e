// Every room in every look: it fits the screen, speaks the language, and a picture is kept.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { close, complaints, launch, logIn, NARROW, shoot, url, visit, WIDE, type Look } from "./world";

const LOOKS = [WIDE, NARROW].flatMap((size) =>
  (["light", "dark"] as const).flatMap((theme) => (["en", "zh"] as const).map((lang): Look => ({ ...size, theme, lang }))),
);

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

async function fits(page: Page) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow, `${page.url()} is wider than the screen`).toBeLessThanOrEqual(0);
}

describe.each(LOOKS)("$width $theme $lang", (look) => {
  const name = (room: string) => `${room}-${look.width}-${look.theme}-${look.lang}`;

  it("shows every room", async () => {
    const visitor = await visit(browser, look);
    await visitor.waitForSelector("#token");
    await shoot(visitor, name("login"));
    await close(visitor);

    const page = await logIn(browser, "bob", look);
    const chinese = /[\u4e00-\u9fff]/.test(await page.innerText(".nav"));
    expect(chinese).toBe(look.lang === "zh");
    const dark = await page.evaluate(() => document.documentElement.classList.contains("dark"));
    expect(dark).toBe(look.theme === "dark");
    await page.waitForSelector(".welcome li:nth-child(3)");
    await fits(page);
    await shoot(page, name("welcome"));

    await page.goto(`${url}/cluster`);
    await page.waitForSelector(".namespaces");
    await fits(page);
    await shoot(page, name("cluster"));

    await page.goto(`${url}/changes`);
    await page.waitForSelector(".item, .state");
    await fits(page);
    await shoot(page, name("changes"));
    await close(page);
    expect(complaints.splice(0)).toEqual([]);
  });
});
