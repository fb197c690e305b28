/** The example game without a page, and its command. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { playHeadless } from "../../examples/game/node/headless.ts";
import { isSteady } from "../../examples/game/node/warm-up.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

describe("the game headless", () => {
  test("bears the bodies it was told to, frees them all, and leaves the memory sound", async () => {
    const { problems, table, born, live, frames } = await playHeadless({
      material: "zalloc",
      frames: 60,
      births: 2000,
      warmUp: { least: 40, most: 40 },
    });
    expect(problems).toEqual([]);
    expect(frames).toBe(60);
    // Without a hive there is nothing to be born from in the very first frames.
    expect(born).toBeGreaterThan(150_000);
    // One frame more, in which the workers begin to count.
    expect(born).toBeLessThanOrEqual(101 * 2000);
    expect(live).toBeGreaterThan(20_000);
    const [bullets] = table.filter((line) => line.startsWith("bullet:"));
    expect(Number(bullets?.split(/\s+/)[3])).toBeGreaterThan(10_000);
  });

  test("is the same game with plain objects, of which the zones know nothing", async () => {
    const { problems, table, born } = await playHeadless({
      material: "objects",
      frames: 20,
      births: 2000,
      warmUp: { least: 20, most: 20 },
    });
    expect(problems).toEqual([]);
    expect(born).toBeGreaterThan(40_000);
    const [bullets] = table.filter((line) => line.startsWith("bullet:"));
    expect(Number(bullets?.split(/\s+/)[5])).toBe(0);
  });
});

describe("a warm-up", () => {
  test.each([
    ["before anything is known", [], false],
    ["while collections become fewer", [90, 60, 40, 20, 10, 5, 3, 0, 0, 0], false],
    ["once there are none", [90, 20, 0, 0, 0, 0], true],
    ["when there is a lull", [9, 0, 0, 0, 3, 0, 0, 0], false],
    ["when there is one now and then", [4, 2, 1, 1, 0, 0, 1, 0, 0, 1, 0], false],
    ["once there are as many as ever", [90, 30, 30, 31, 30, 32, 30, 31], true],
    ["when there were fewer a moment ago", [20, 31, 30, 30, 31, 19, 30, 31], false],
  ])("%s: %j is steady: %s", (_when, blocks, steady) => {
    expect(isSteady(blocks)).toBe(steady);
  });
});

describe("the game's command", () => {
  /** @returns what it printed, and its exit code. */
  async function run(args: readonly string[], interruptAt: RegExp | null): Promise<{ readonly printed: string; readonly code: number }> {
    // Not through the command tsx: that one passes a signal on and soon ends, however long the program takes.
    const imports = ["--import", "tsx", "--import", "./test/fixtures/ts-hook.mjs"];
    const child = spawn(process.execPath, [...imports, "examples/game/main.ts", ...args], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let printed = "";
    let interrupted = interruptAt === null;
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString("utf8");
      if (interrupted || interruptAt?.test(printed) !== true) return;
      interrupted = true;
      child.kill("SIGINT");
    });
    const [code] = (await once(child, "close")) as [number];
    return { printed, code };
  }

  test("plays headless and ends with the zones' table and what verify says", async () => {
    const { printed, code } = await run(["--headless", "--frames", "30"], null);
    expect(code).toBe(0);
    expect(printed).toMatch(/^ITEM +SIZE/);
    expect(printed).toMatch(/\n30 frames, /);
    expect(printed).toMatch(/verify: ok\n$/);
  });

  test("serves the page until it is interrupted", async () => {
    const { printed, code } = await run(["--port", "5480"], /http:\/\/localhost:\d+\//);
    expect(code).toBe(0);
    expect(printed).toContain("no page was open");
  });

  test("refuses an option that is no number", async () => {
    const { printed, code } = await run(["--headless", "--frames", "many"], null);
    expect(code).toBe(1);
    expect(printed).toBe("");
  });
});
