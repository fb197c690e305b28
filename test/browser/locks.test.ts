/**
 * Web Locks as death certificates, in a real browser: workers are terminated at full speed, the page learns of it by the lock that
 * each held for life, and recovers them; nothing is lost, and the page's thread never blocks.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize, resolve } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PATIENCE_MS, complaintsOf, noChromium, openPage, startChromium } from "./chromium.ts";

const root = resolve(import.meta.dirname, "../..");
const dist = join(root, "build/browser");
const ROUNDS = 2;
const WORKERS = 5;
const DEATHS = ROUNDS * WORKERS;
const KEEPS = 50;
/** Of one call of the page's thread: its patience is 20 ms, the rest is what a busy machine takes. Whoever blocks does so for good. */
const LONGEST_MS = 5000;

/** What page.js answers. */
interface Told {
  readonly rounds: number;
  readonly reports: number;
  readonly keptByReports: number;
  readonly lost: number;
  readonly used: readonly number[];
  readonly problems: readonly string[];
  readonly failures: readonly string[];
  readonly isolated: boolean;
  readonly calls: number;
  readonly longestCallMs: number;
  readonly certificateMs: readonly number[];
}

const PAGE =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><script type="module" src="/locks/page.js"></script>';

/** Serves the page, its scripts and the emitted library, with the two headers that shared memory takes. */
function serve(): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent((request.url ?? "/").replace(/\?.*/, "")));
    const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
    try {
      const file = path.startsWith("/dist/")
        ? join(dist, path.slice(6))
        : path.startsWith("/locks/")
          ? join(import.meta.dirname, "locks", path.slice(7))
          : null;
      const body = file === null ? PAGE : readFileSync(file);
      response.writeHead(200, { ...headers, "Content-Type": file === null ? "text/html" : "text/javascript" }).end(body);
    } catch {
      response.writeHead(404, headers).end();
    }
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

describe.skipIf(noChromium("test/browser/locks.test.ts"))("Web Locks in a browser", () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  let complaints: readonly string[];

  beforeAll(async () => {
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(root, "tsconfig.build.json"), "--outDir", dist], { stdio: "inherit" });
    server = await serve();
    browser = await startChromium();
    page = await openPage(browser);
    complaints = complaintsOf(page);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("document.body.dataset.ready === 'yes'");
  }, PATIENCE_MS);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  test(`certify ${DEATHS} terminated workers; what they held is found, and the page never blocks`, { timeout: PATIENCE_MS }, async () => {
    const told = await page.evaluate<Told>(`terminateWorkers(${ROUNDS}, ${WORKERS}, ${KEEPS})`);
    expect(told.isolated).toBe(true);
    expect(told.problems).toEqual([]);
    expect(told).toMatchObject({ rounds: ROUNDS, reports: DEATHS, lost: 0, keptByReports: DEATHS * KEEPS, used: [0, 0] });
    // BUSY is the answer while a dead worker's certificate is on its way.
    expect(told.failures.filter((failure) => failure !== "BUSY")).toEqual([]);
    expect(told.longestCallMs).toBeLessThan(LONGEST_MS);
    expect(complaints).toEqual([]);
    const certificates = [...told.certificateMs].sort((a, b) => a - b);
    console.log(
      `locks: ${told.calls} calls of the page, the longest ${told.longestCallMs.toFixed(1)} ms; from terminate() to recovered: ` +
        `median ${certificates[DEATHS >> 1]?.toFixed(0)} ms, at most ${certificates.at(-1)?.toFixed(0)} ms`,
    );
  });
});
