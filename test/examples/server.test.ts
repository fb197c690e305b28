import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createCloneBackend } from "../../examples/server/clone-backend.ts";
import { type Server, serve } from "../../examples/server/http.ts";
import { load, makeSessions } from "../../examples/server/load.ts";
import { counter, openMetrics } from "../../examples/server/metrics.ts";
import { NO_ROOM, createRateLimiter } from "../../examples/server/rate-limit.ts";
import { type BackendOptions, createSharedBackend } from "../../examples/server/shared-backend.ts";
import { openShop } from "../../examples/server/zones.ts";
import { Uma } from "../../src/index.ts";
import { readOpenMetrics } from "../fixtures/openmetrics.ts";

const SMALL: BackendOptions = {
  workers: 2,
  size: { sessions: 20, lines: 64, clients: 100, jobs: 128 },
  limit: null,
  patience: 200,
  ttl: 900,
};

interface Cart {
  readonly id: string;
  readonly hits: number;
  readonly lines: number;
  readonly total: number;
}

async function cart(url: string, id: string): Promise<Cart> {
  const response = await fetch(`${url}/sessions/${id}`);
  expect(response.status).toBe(200);
  return (await response.json()) as Cart;
}

function addLine(url: string, id: string): Promise<Response> {
  const body = JSON.stringify({ sku: 7, quantity: 2, cents: 50 });
  return fetch(`${url}/sessions/${id}/lines`, { method: "POST", headers: { "content-type": "application/json" }, body });
}

async function metric(url: string, sample: string): Promise<number> {
  const families = readOpenMetrics(await (await fetch(`${url}/metrics`)).text());
  for (const { samples } of families.values()) {
    const value = samples.get(sample);
    if (value !== undefined) return value;
  }
  throw new Error(`no sample ${sample}`);
}

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 4000; tries++) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("what was waited for did not come");
}

describe("the server as its command starts it", () => {
  let command: ChildProcess;
  let url: string;
  let output = "";

  beforeAll(async () => {
    const main = new URL("../../examples/server/main.ts", import.meta.url).pathname;
    const hook = new URL("../fixtures/ts-hook.mjs", import.meta.url).href;
    const args = ["--port", "0", "--sessions", "60", "--lines", "400", "--rate", "0", "--patience", "2000"];
    command = spawn(process.execPath, ["--import", "tsx", "--import", hook, main, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    command.stdout?.on("data", (data: Buffer) => (output += data.toString()));
    await until(() => output.includes("Ctrl-C"));
    url = /http:\S+/.exec(output)?.[0] as string;
  });

  afterAll(() => {
    command.kill("SIGKILL");
  });

  test("answers under load without an error, loses no session to a killed worker, keeps its memory, and drains", async () => {
    const sessions = await makeSessions(url, 50, 10);
    const warm = await load({ url, sessions, connections: 10, seconds: 10, amount: 2000 });
    expect(warm).toMatchObject({ errors: 0, codes: { 200: 2000 } });
    const before = {
      heap: await metric(url, "zalloc_heap_bytes"),
      rss: await metric(url, "process_resident_memory_bytes"),
      used: await metric(url, 'zalloc_zone_used{zone="session"}'),
    };
    expect(before.used).toBe(50);

    // One worker after the other dies over requests that only read and over some that add.
    const loaded = load({ url, sessions, connections: 10, seconds: 10, amount: 4000, addEvery: 10 });
    for (let n = 1; n <= 3; n++) {
      expect((await fetch(`${url}/kill`, { method: "POST" })).status).toBe(200);
      await until(async () => (await metric(url, "worker_deaths_total")) === n);
    }
    expect(await loaded).toMatchObject({ errors: 0, codes: { 200: 4000 } });

    let lines = 0;
    for (const id of sessions) lines += (await cart(url, id)).lines;
    // Each line that was added is there once, also where a worker died over it and another did it again.
    expect(lines).toBe(50 * 10 + 400);

    await load({ url, sessions, connections: 10, seconds: 10, amount: 4000 });
    expect(await metric(url, "zalloc_heap_bytes")).toBeLessThanOrEqual(before.heap + 3 * 64 * 1024);
    expect(await metric(url, 'zalloc_zone_used{zone="session"}')).toBe(50);
    expect(await metric(url, 'zalloc_zone_used{zone="job"}')).toBe(0);
    expect(await metric(url, "process_resident_memory_bytes")).toBeLessThan(before.rss + 96 * 2 ** 20);

    // What was asked before the signal is answered: these wait for room that does not come.
    for (let n = 50; n < 60; n++) expect((await fetch(`${url}/sessions`, { method: "POST" })).status).toBe(201);
    const sleeps = 'zalloc_zone_sleeps_total{zone="session"}';
    const slept = await metric(url, sleeps);
    const asked = [1, 2, 3].map(() => fetch(`${url}/sessions`, { method: "POST" }));
    // On a very slow machine they have been given up before they are seen to wait.
    await until(async () => (await metric(url, 'zalloc_zone_used{zone="job"}')) === 3 || (await metric(url, sleeps)) === slept + 3);
    const ended = once(command, "close");
    command.kill("SIGTERM");
    for (const response of await Promise.all(asked)) {
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).toBe("1");
    }
    expect(await ended).toEqual([0, null]);
    expect(output).toContain("SIGTERM");
    expect(output).toMatch(/^session: +\d+ +60 +60 /m);
    expect(output.trimEnd()).toMatch(/verify: ok$/);
  });
});

describe("the server", () => {
  let server: Server;

  async function start(options: Partial<BackendOptions> = {}): Promise<string> {
    server = await serve(createSharedBackend({ ...SMALL, ...options }));
    return server.url;
  }

  afterEach(async () => {
    expect((await server.close()).problems).toEqual([]);
  });

  test("does each addition once, though workers die over them", async () => {
    const url = await start();
    const [id = ""] = await makeSessions(url, 1, 0);
    const adding = Array.from({ length: 60 }, async (_, n) => {
      if (n % 20 === 10) server.backend.kill();
      return (await addLine(url, id)).status;
    });
    expect(new Set(await Promise.all(adding))).toEqual(new Set([200]));
    expect(await cart(url, id)).toMatchObject({ lines: 60, total: 60 * 100, hits: expect.any(Number) as number });
    for (let n = 60; n < 64; n++) await addLine(url, id);
    expect((await addLine(url, id)).status).toBe(409);
  });

  test("makes each session once, though workers die over them, and gives the room of half-made ones back", async () => {
    const url = await start({ size: { ...SMALL.size, sessions: 200 } });
    const made = Array.from({ length: 100 }, async (_, n) => {
      if (n % 30 === 15) server.backend.kill();
      return makeSessions(url, 1, 64);
    });
    const names = (await Promise.all(made)).flat();
    expect(new Set(names).size).toBe(100);
    expect(server.backend.sessions()).toBe(100);
    for (const id of names) expect(await cart(url, id)).toMatchObject({ lines: 64 });
    await until(async () => (await metric(url, 'zalloc_zone_used{zone="session"}')) === 100);
  });

  test("has room for so many sessions, and says when to come again", async () => {
    const url = await start({ patience: 50 });
    await makeSessions(url, 20, 0);
    const refused = await fetch(`${url}/sessions`, { method: "POST" });
    expect([refused.status, refused.headers.get("retry-after"), await refused.json()]).toEqual([503, "1", { status: "exhausted" }]);
    expect(server.backend.sessions()).toBe(20);
  });

  test("lets a new session wait until another has ended", async () => {
    const url = await start({ patience: 20_000 });
    const names = await makeSessions(url, 20, 0);
    const waiting = fetch(`${url}/sessions`, { method: "POST" });
    await until(async () => (await metric(url, 'zalloc_zone_sleeps_total{zone="session"}')) === 1);
    expect((await fetch(`${url}/sessions/${names[3]}`, { method: "DELETE" })).status).toBe(204);
    expect((await waiting).status).toBe(201);
    expect((await fetch(`${url}/sessions/${names[3]}`)).status).toBe(404);
    expect((await fetch(`${url}/sessions/${names[3]}`, { method: "DELETE" })).status).toBe(404);
    expect(server.backend.sessions()).toBe(20);
  });

  test("ends sessions that nobody asks for", async () => {
    const url = await start({ ttl: 0.3 });
    await makeSessions(url, 20, 0);
    await until(() => server.backend.sessions() === 0);
    await until(async () => (await metric(url, 'zalloc_zone_used{zone="session"}')) === 0);
    expect(await makeSessions(url, 20, 0)).toHaveLength(20);
  });

  test("serves each client so fast and no faster", async () => {
    const url = await start({ limit: { rate: 0.01, burst: 10 } });
    const [id = ""] = await makeSessions(url, 1, 0);
    const ask = (client: string) => fetch(`${url}/sessions/${id}`, { headers: { "x-client": client } });
    const answers = await Promise.all(Array.from({ length: 15 }, () => ask("in a hurry")));
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(refused).toHaveLength(5);
    for (const { headers } of refused) expect(Number(headers.get("retry-after"))).toBeGreaterThan(50);
    expect((await ask("patient")).status).toBe(200);
  });

  test("refuses what it does not understand", async () => {
    const url = await start();
    const [id = ""] = await makeSessions(url, 1, 0);
    expect((await fetch(`${url}/sessions/none`)).status).toBe(400);
    expect((await fetch(`${url}/sessions/0123456789ab`)).status).toBe(404);
    const headers = { "content-type": "application/json" };
    for (const body of [
      "{}",
      '{"sku":0,"quantity":1,"cents":1}',
      '{"sku":1,"quantity":-1,"cents":1}',
      '{"sku":1,"quantity":1,"cents":4294967296}',
      "x",
    ]) {
      expect((await fetch(`${url}/sessions/${id}/lines`, { method: "POST", headers, body })).status).toBe(400);
    }
    expect(await cart(url, id)).toMatchObject({ lines: 0, hits: 1 });
    expect((await fetch(`${url}/kill`, { method: "POST" })).status).toBe(403);
  });
});

test("the server that clones its sessions gives the same answers", async () => {
  const server = await serve(createCloneBackend(SMALL));
  const { url } = server;
  const [id = ""] = await makeSessions(url, 1, 10);
  const statuses = await Promise.all(Array.from({ length: 30 }, async () => (await addLine(url, id)).status));
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(await cart(url, id)).toEqual({ id, hits: 31, lines: 40, total: 10 * 100 + 30 * 100 });
  expect((await fetch(`${url}/sessions/${id}`, { method: "DELETE" })).status).toBe(204);
  expect((await fetch(`${url}/sessions/${id}`)).status).toBe(404);
  await server.close();
});

describe("the rate limiter", () => {
  const size = { sessions: 1, lines: 1, clients: 2, jobs: 1 };

  test("gives a burst at once, then so many a second, to each client its own", () => {
    using uma = Uma.create({ bytes: 2 ** 21 });
    const { take } = createRateLimiter(openShop(uma, size), { rate: 10, burst: 3 });
    const at = (now: number) => take(1, now);
    expect([0, 0, 0, 0].map((now) => at(now))).toEqual([0, 0, 0, 100]);
    expect(at(0.05)).toBe(50);
    expect(at(0.1)).toBe(0);
    expect(at(0.1)).toBe(100);
    expect(take(2, 0.1)).toBe(0);
    expect([10, 10, 10, 10].map((now) => at(now))).toEqual([0, 0, 0, 100]);
    expect(take(3, 10)).toBe(NO_ROOM);
  });

  test("gives nothing to whoever read the clock before the bucket was emptied", () => {
    using uma = Uma.create({ bytes: 2 ** 21 });
    const { take } = createRateLimiter(openShop(uma, size), { rate: 10, burst: 3 });
    expect([1, 1, 1, 0.99, 0].map((now) => take(1, now))).toEqual([0, 0, 0, 110, 1100]);
  });

  test("goes on through the end of its clock, and knows a bucket untouched for hours to be full", () => {
    using uma = Uma.create({ bytes: 2 ** 21 });
    const { take } = createRateLimiter(openShop(uma, size), { rate: 10, burst: 3 });
    const end = 2 ** 31 / 100_000;
    expect([end - 0.01, end, end + 0.01, end + 0.02].map((now) => take(1, now))).toEqual([0, 0, 0, 70]);
    for (const hours of [1, 5, 6, 7, 11, 12, 13, 100]) expect(take(1, end + 0.02 + hours * 3600)).toBe(0);
  });
});

test("metrics are OpenMetrics, whatever is in their labels", () => {
  const text = [...openMetrics([counter("odd", 'a "b"\\\nc', [{ labels: { zone: 'x"\\\n' }, value: 1 }])])].join("");
  expect(readOpenMetrics(text).get("odd")?.samples.get('odd_total{zone="x\\"\\\\\\n"}')).toBe(1);
  expect(() => readOpenMetrics(text.replace("_total", ""))).toThrow("is no sample");
  expect(() => readOpenMetrics(text.replace("# EOF\n", ""))).toThrow("EOF");
});
