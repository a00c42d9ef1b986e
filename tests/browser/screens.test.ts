// Every room in every look: it fits the screen, speaks the language, and a picture is kept.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { deployment } from "./cluster";
import { close, complaints, launch, logIn, NARROW, say, shoot, url, visit, WIDE, type Look } from "./world";

const LOOKS = [WIDE, NARROW].flatMap((size) =>
  (["light", "dark"] as const).flatMap((theme) => (["en", "zh"] as const).map((lang): Look => ({ ...size, theme, lang }))),
);

const WORDS = {
  en: { how: (name: string) => `How is ${name}?`, scale: (name: string, place: string, to: number) => `Scale ${name} in ${place} to ${to}` },
  zh: { how: (name: string) => `${name} 现在怎么样？`, scale: (name: string, place: string, to: number) => `把 ${place} 的 ${name} 扩到 ${to} 个副本` },
};

let browser: Browser;
/** Addresses of a change that waits for its decision, by the language it was asked for in. */
const changes = { en: "", zh: "" };
beforeAll(async () => {
  browser = await launch();
  for (const [which, lang] of (["en", "zh"] as const).entries()) {
    const page = await logIn(browser, "alice");
    const { name, namespace, replicas } = await deployment(3 + which);
    const reply = await say(page, WORDS[lang].scale(name, namespace, replicas + 1));
    await reply.locator(".change").click();
    await page.waitForSelector(".diff");
    changes[lang] = page.url();
    await close(page);
  }
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

    await page.goto(changes[look.lang]);
    await page.waitForSelector(".diff");
    await fits(page);
    await shoot(page, name("change"));
    await page.locator(".diff").first().scrollIntoViewIfNeeded();
    await shoot(page, name("change-plan"));
    await page.locator("dl.card").scrollIntoViewIfNeeded();
    await shoot(page, name("change-end"));

    await page.goto(`${url}/chat`);
    await page.waitForSelector(".welcome");
    const reply = await say(page, WORDS[look.lang].how((await deployment(0)).name));
    await reply.locator(".evidence").first().waitFor();
    await fits(page);
    await shoot(page, name("answer"));
    await reply.locator(".evidence").first().scrollIntoViewIfNeeded();
    await shoot(page, name("answer-evidence"));
    await close(page);
    expect(complaints.splice(0)).toEqual([]);
  });
});
