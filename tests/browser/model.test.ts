// The console in front of the real model and a world where something is broken: a question whose explanation the model
// writes while the page shows it, and a change in words that only the model understands. Needs a kubemate with a
// model and the scenario eval/scenarios/bank; see tests/e2e.sh.

import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import type { Browser, Page } from "playwright-core";
import { close, complaints, launch, logIn, NARROW, read, say, shoot, WIDE } from "./world";

const PATIENCE = 300_000;
const broken = "issuer-sim";
const target = { name: "sanctions", namespace: "pay-live", replicas: 4 };

let browser: Browser;
let model: string;
beforeAll(async () => {
  browser = await launch();
  const loaded = async () => {
    const { model } = await read<{ model: { id: string; ready: boolean; detail: string | null } | null }>("/session", "maria");
    if (!model?.ready) throw new Error(model?.detail ?? "the kubemate under test has no model");
    return model.id;
  };
  model = await vi.waitFor(loaded, { timeout: PATIENCE, interval: 500 });
}, PATIENCE);
afterAll(() => browser.close());
afterEach(() => expect(complaints.splice(0)).toEqual([]));

/** Keeps every text that the page shows while an answer is being written. */
async function watchStream(page: Page) {
  await page.evaluate(() => {
    const seen: string[] = [];
    const look = () => {
      const text = document.querySelector(".streaming")?.textContent ?? "";
      if (text && text !== seen.at(-1)) seen.push(text);
    };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
    Object.assign(window, { seen });
  });
  return () => page.evaluate(() => (window as unknown as { seen: string[] }).seen);
}

it("explains in Chinese what is broken, sentence by sentence", { timeout: PATIENCE }, async () => {
  const page = await logIn(browser, "maria", { ...WIDE, lang: "zh" });
  const streamed = await watchStream(page);
  const reply = await say(page, `${broken} 为什么一直起不来？`, PATIENCE);
  // what code found comes first, then what the model makes of it
  const pieces = await streamed();
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces.at(-1)?.startsWith(pieces[0] ?? "?")).toBe(true);
  const written = pieces.at(-1)?.slice(pieces[0]?.length) ?? "";
  expect(written).toMatch(/[\u4e00-\u9fff]/);
  expect(await reply.innerText()).toContain(broken);
  expect(await reply.locator(".callout.error").count()).toBe(0);
  await shoot(page, "explained-1440-light-zh");
  await close(page);
});

it("turns free words into a change that another operator approves", { timeout: PATIENCE }, async () => {
  const look = { ...WIDE, lang: "zh" as const };
  const maria = await logIn(browser, "maria", look);
  const words = `${target.name} 在 ${target.namespace} 忙不过来了，给它凑 ${target.replicas} 份`;
  let reply = await say(maria, words, PATIENCE);
  // where the model's reading needs a yes, say it
  if ((await reply.locator(".change").count()) === 0) {
    await reply.locator(".buttons button").first().click();
    reply = maria.locator("article.reply").nth(1);
  }
  await reply.locator(".change").click({ timeout: 60_000 });
  await maria.waitForSelector(".diff");
  const address = maria.url();
  const id = address.split("/").at(-1) ?? "";
  const change = await read<{ model: string | null; prompt: string | null; request: string }>(`/changes/${id}`, "maria");
  expect(change).toMatchObject({ model, prompt: expect.any(String) });
  expect(await maria.innerText("dl.card")).toContain(model);

  const tom = await logIn(browser, "tom", { ...NARROW, lang: "zh" });
  await tom.goto(address);
  await tom.waitForSelector(".diff .added");
  expect(await tom.locator(".diff .added").allInnerTexts()).toEqual(expect.arrayContaining([expect.stringContaining(String(target.replicas))]));
  await shoot(tom, "model-review-390-light-zh");
  await tom.click(".decision .approve");
  await tom.waitForSelector('[data-change-state="healthy"]', { timeout: 90_000 });

  await maria.waitForSelector('[data-change-state="healthy"]');
  await shoot(maria, "model-healthy-1440-light-zh");
  await maria.goBack();
  await maria.locator('article.reply [data-state="healthy"]').last().waitFor();
  await shoot(maria, "model-told-1440-light-zh");
  const { workloads } = await read<{ workloads: { object: string; desired: number; health: string }[] }>("/cluster", "maria");
  const object = `apps/v1/Deployment/${target.namespace}/${target.name}`;
  expect(workloads.find((one) => one.object === object)).toMatchObject({ desired: target.replicas, health: "healthy" });
  await close(maria);
  await close(tom);
});
