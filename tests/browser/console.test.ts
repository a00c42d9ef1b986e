// The console as operators use it: alice asks, bob approves.

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Browser } from "playwright-core";
import { ambiguous, deployment, type Target } from "./cluster";
import { close, complaints, launch, logIn, NARROW, say, shoot, token, url, visit, WIDE } from "./world";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());
afterEach(() => expect(complaints.splice(0)).toEqual([]));

describe("login", () => {
  it("refuses a wrong token and says where tokens are", async () => {
    const page = await visit(browser);
    await page.fill("#token", "wrong-token-wrong-token");
    await page.click("button[type=submit]");
    await page.waitForSelector(".wrong-note");
    expect(await page.textContent(".wrong-note")).toContain("tokens.json");
    await close(page);
  });

  it("leads to where the visitor wanted to go, and out again", async () => {
    const page = await visit(browser);
    await page.goto(`${url}/cluster`);
    await page.waitForURL(/\/login\?next=/);
    await page.fill("#token", token("alice"));
    await page.keyboard.press("Enter");
    await page.waitForURL(`${url}/cluster`);
    await page.waitForSelector(".namespaces");
    await page.click(".avatar");
    await page.click(".out");
    await page.waitForURL(/\/login/);
    await page.goto(`${url}/changes`);
    await page.waitForURL(/\/login/);
    await close(page);
  });
});

describe("chat", () => {
  it("answers a question and keeps the conversation", async () => {
    const page = await logIn(browser, "alice");
    const { name, namespace } = await deployment(0);
    const reply = await say(page, `How is ${name} in ${namespace}?`);
    expect(await reply.locator(".callout.error").count()).toBe(0);
    expect((await reply.innerText()).length).toBeGreaterThan(10);
    await shoot(page, "answer-1440-light-en");
    const address = page.url();
    await page.reload();
    await page.waitForSelector("article.reply");
    expect(page.url()).toBe(address);
    expect(await page.innerText("article.said")).toContain(name);
    await close(page);
  });

  it("asks back with choices, and takes one", async () => {
    const page = await logIn(browser, "alice");
    const reply = await say(page, `/restart ${await ambiguous()}`);
    const choices = reply.locator(".buttons button");
    expect(await choices.count()).toBeGreaterThan(1);
    await shoot(page, "choices-1440-light-en");
    await choices.first().click();
    const answer = page.locator("article.reply").nth(1);
    await answer.waitFor();
    expect(await answer.locator(".change").count()).toBe(1);
    expect(await choices.first().isDisabled()).toBe(true);
    await close(page);
  });

  it("completes typed commands from the keyboard", async () => {
    const page = await logIn(browser, "alice");
    await page.locator("textarea").pressSequentially("/sc");
    await page.waitForSelector(".offered li");
    await page.keyboard.press("Tab");
    expect(await page.inputValue("textarea")).toBe("/scale ");
    await close(page);
  });

  it("takes a line break with Shift+Enter", async () => {
    const page = await logIn(browser, "alice");
    await page.locator("textarea").pressSequentially("one");
    await page.keyboard.press("Shift+Enter");
    await page.locator("textarea").pressSequentially("two");
    expect(await page.inputValue("textarea")).toBe("one\ntwo");
    expect(await page.locator("article.said").count()).toBe(0);
    await close(page);
  });
});

const WORDS = {
  en: {
    scale: (target: Target, to: number) => `Scale ${target.name} in ${target.namespace} to ${to}`,
    comment: "looks right",
    whyNot: "somebody else",
  },
  zh: {
    scale: (target: Target, to: number) => `把 ${target.namespace} 的 ${target.name} 扩到 ${to} 个副本`,
    comment: "同意，容量足够",
    whyNot: "另一个人",
  },
};

describe("a change", () => {
  it.each(["en", "zh"] as const)("is proposed by one, approved by another, applied, told and undone (%s)", async (lang) => {
    const words = WORDS[lang];
    const look = { ...WIDE, lang };
    const picture = (room: string) => `${room}-1440-light-${lang}`;
    const alice = await logIn(browser, "alice", look);
    const target = await deployment(lang === "en" ? 1 : 2);
    const wanted = target.replicas < 4 ? target.replicas + 1 : target.replicas - 1;
    const reply = await say(alice, words.scale(target, wanted));
    const card = reply.locator(".change");
    await card.waitFor();
    await shoot(alice, picture("change-card"));

    await card.click();
    await alice.waitForSelector(".diff");
    const address = alice.url();
    expect(await alice.isDisabled(".decision .approve")).toBe(true);
    expect(await alice.innerText("#why-not")).toContain(words.whyNot);

    const bob = await logIn(browser, "bob", look);
    await bob.goto(address);
    await bob.waitForSelector(".diff td.added");
    expect(await bob.innerText(".diff")).toContain(String(wanted));
    await shoot(bob, picture("review"));
    await bob.fill(".decision input", words.comment);
    await bob.click(".decision .approve");
    await bob.waitForSelector('[data-change-state="healthy"]', { timeout: 90_000 });
    expect(await bob.innerText(".approvals")).toContain(words.comment);
    await shoot(bob, picture("healthy"));

    // alice sees it without doing anything, and is told
    await alice.waitForSelector('[data-change-state="healthy"]');
    await alice.goBack();
    const told = alice.locator("article.reply").nth(1);
    await told.waitFor();
    expect(await told.locator('[data-state="healthy"]').count()).toBe(1);
    await shoot(alice, picture("told"));

    await alice.goto(address);
    await alice.click(".undo button");
    await alice.waitForURL(/\/chat\//);
    const undo = alice.locator('.change:has([data-state="proposed"])');
    await undo.waitFor({ timeout: 60_000 });
    await undo.click();
    await alice.waitForSelector(".decision");
    await alice.click(".decision .reject");
    await alice.click(".decision .confirm");
    await alice.waitForSelector('[data-change-state="rejected"]');
    await close(alice);
    await close(bob);
  });

  it("can be read on a phone", async () => {
    const page = await logIn(browser, "bob", NARROW);
    await page.goto(`${url}/changes`);
    await page.click(".item >> nth=0");
    await page.waitForSelector(".diff");
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    expect(sideways).toBe(false);
    expect(await page.locator("table.split").count()).toBe(0);
    await close(page);
  });
});

describe("the cluster", () => {
  it("lists workloads and filters them", async () => {
    const page = await logIn(browser, "alice");
    await page.click('a[href="/cluster"]');
    await page.waitForSelector(".wide tbody tr");
    const all = await page.locator(".wide tbody tr").count();
    const { name } = await deployment(0);
    await page.fill(".search input", name);
    await page.waitForFunction((before) => document.querySelectorAll(".wide tbody tr").length < before, all);
    expect(await page.innerText(".wide tbody")).toContain(name);
    await page.fill(".search input", "no such thing");
    await page.waitForSelector(".state");
    await close(page);
  });
});
