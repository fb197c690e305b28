/** The quick scenarios, in processes of their own, to as many states on any machine: no state of any schedule violates what the safety sheet promises. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Exploration } from "../../tools/explore/index.ts";

const root = resolve(import.meta.dirname, "../..");

test("the quick scenarios hold at every state that is reached", { timeout: 900_000 }, async () => {
  const json = join(mkdtempSync(join(tmpdir(), "explore-")), "results.json");
  const tsx = join(root, "node_modules/.bin/tsx");
  const args = [
    "tools/explore/cli.ts",
    "test/explore/scenarios.ts",
    "--quick",
    "--states",
    "7000",
    "--seconds",
    "200",
    "--jobs",
    "2",
    "--json",
    json,
  ];
  const { stdout } = await promisify(execFile)(tsx, args, { cwd: root }).catch((error: { stdout: string }) => error);
  const results = JSON.parse(readFileSync(json, "utf8")) as Exploration[];
  expect(
    results.filter((result) => result.outcome === "violated").map((result) => result.scenario),
    stdout,
  ).toEqual([]);
  expect(results.length).toBeGreaterThan(5);
  for (const result of results) expect([result.scenario, result.schedules > 0]).toEqual([result.scenario, true]);
});
