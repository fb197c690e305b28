/** The example game in a real browser. The tests play one game, in their order; screenshots are for whoever wants to look. */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serve, type Served } from "../../examples/game/node/serve.ts";
import { PATIENCE_MS, complaintsOf, noChromium, openPage, startChromium } from "./chromium.ts";

const SCREENSHOTS = fileURLToPath(new URL("screenshots/", import.meta.url));

/** What the page tells in its body's data attributes. */
interface Told {
  readonly frames: number;
  readonly live: number;
  readonly born: number;
  readonly died: number;
  readonly material: string;
  readonly recovered: number;
  /** Units from the left; the world is about a thousand wide. */
  readonly shipX: number;
}

describe.skipIf(noChromium("test/browser/game.test.ts"))("the example game", () => {
  let served: Served;
  let browser: Browser;
  let page: Page;
  let complaints: readonly string[];

  beforeAll(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true });
    served = await serve({ port: 0, built: true });
    browser = await startChromium();
    page = await openPage(browser, { width: 640, height: 480 });
    complaints = complaintsOf(page);
    await page.goto(served.url);
  }, PATIENCE_MS);

  afterAll(async () => {
    await browser?.close();
    await served?.close();
  });

  async function told(): Promise<Told> {
    const data = await page.evaluate<Readonly<Record<string, string>>>("({ ...document.body.dataset })");
    const number = (name: string): number => Number(data[name] ?? 0);
    return {
      frames: number("frames"),
      live: number("live"),
      born: number("born"),
      died: number("died"),
      material: data["material"] ?? "",
      recovered: number("recovered"),
      shipX: number("shipX"),
    };
  }

  /** Waits until the page tells what is wanted. */
  async function until(wanted: (now: Told) => boolean): Promise<Told> {
    for (;;) {
      const now = await told();
      if (wanted(now)) return now;
      await page.waitForTimeout(200);
    }
  }

  async function verdict(): Promise<string> {
    await page.evaluate("delete document.body.dataset.verdict");
    await page.click("#verify");
    await page.waitForFunction("document.body.dataset.verdict");
    return page.evaluate<string>("document.body.dataset.verdict");
  }

  async function usedOf(zone: string): Promise<number> {
    const row = page.locator("#zones tbody tr", { hasText: zone });
    return Number((await row.locator("td").nth(2).innerText()).replaceAll(",", ""));
  }

  test("is cross-origin isolated, and has 50,000 bodies live that are born and die", { timeout: PATIENCE_MS }, async () => {
    expect(await page.evaluate("crossOriginIsolated")).toBe(true);
    const before = await until(({ live }) => live >= 50_000);
    const after = await until(({ frames }) => frames > before.frames + 10);
    expect(after.born).toBeGreaterThan(before.born);
    expect(after.died).toBeGreaterThan(before.died);
    expect(await usedOf("bullet")).toBeGreaterThan(0);
    expect(complaints).toEqual([]);
  });

  test("steers its ship by the pointer", { timeout: PATIENCE_MS }, async () => {
    await page.mouse.move(64, 400);
    await until(({ shipX }) => shipX < 200);
    await page.mouse.move(320, 400);
    await until(({ shipX }) => shipX > 400);
    expect(complaints).toEqual([]);
  });

  test("goes on when a worker is killed: another adopts its bullets", { timeout: PATIENCE_MS }, async () => {
    await page.click("#kill-0");
    const { frames, born } = await until(({ recovered }) => recovered === 1);
    expect(await page.locator("#log li").first().innerText()).toMatch(/Worker A killed.*bullets kept.*sparks freed/);
    await until((now) => now.frames > frames + 10 && now.born > born + 10_000);
    expect(await verdict()).toBe("verify: ok");
    for (let n = 1; n <= 3; n++) {
      // Refused while the last one's successor is on its way: then again.
      await until(({ recovered }) => recovered >= n);
      while ((await told()).recovered === n) {
        await page.keyboard.press(n % 2 === 0 ? "k" : "l");
        await page.waitForTimeout(250);
      }
    }
    expect(await verdict()).toBe("verify: ok");
    expect(complaints).toEqual([]);
  });

  test("plays with plain objects, too, and with zones again", { timeout: PATIENCE_MS }, async () => {
    await page.click("#material");
    await until(({ material, live }) => material === "objects" && live > 5000);
    // Told four times a second.
    while ((await usedOf("bullet")) > 0) await page.waitForTimeout(100);
    const { recovered: before } = await told();
    await page.click("#kill-1");
    await until(({ recovered, live }) => recovered > before && live > 5000);
    expect(await page.locator("#log li").first().innerText()).toMatch(/Worker B killed.*gone with it/);
    await page.click("#material");
    await until(({ material, live }) => material === "zalloc" && live > 30_000);
    expect(await verdict()).toBe("verify: ok");
    expect(complaints).toEqual([]);
  });

  test("fits a large window and a narrow one", { timeout: PATIENCE_MS }, async () => {
    for (const [width, height] of [
      [1280, 720],
      [390, 800],
    ] as const) {
      await page.setViewportSize({ width, height });
      const { frames } = await told();
      await until((now) => now.frames > frames + 10);
      await page.screenshot({ path: `${SCREENSHOTS}game-${width}x${height}.png` });
      for (const part of ["#panel", "#score", "#fold"]) {
        const box = await page.locator(part).boundingBox();
        if (box === null) throw new Error(`${part} is not to be seen`);
        expect(Math.min(box.x, box.y), part).toBeGreaterThanOrEqual(0);
        expect(box.x + box.width, part).toBeLessThanOrEqual(width);
        expect(box.y + box.height, part).toBeLessThanOrEqual(height);
      }
    }
    expect(complaints).toEqual([]);
  });

  test("says which headers are missing where the page is not isolated", { timeout: PATIENCE_MS }, async () => {
    const other = await openPage(browser);
    await other.route("**/*", async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers() };
      delete headers["cross-origin-opener-policy"];
      await route.fulfill({ response, headers });
    });
    await other.goto(served.url);
    await other.waitForFunction("document.body.textContent.includes('cannot begin')");
    expect(await other.locator("body").innerText()).toMatch(/Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/);
    await other.close();
  });

  test("tells the zones' table and what verify says when its server ends", { timeout: PATIENCE_MS }, async () => {
    const [report] = await served.close();
    expect(report).toMatch(/^ITEM +SIZE +LIMIT +USED/);
    expect(report).toMatch(/\nbullet: /);
    expect(report).toMatch(/\nverify: ok$/);
  });
});
