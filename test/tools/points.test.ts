/** Theory: points change no result, name every store once, and a parked worker is terminated exactly at its point. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { instrument } from "../../tools/instrument/index.ts";
import { PointControl } from "../../tools/instrument/points-control.ts";
import type * as runtime from "../../tools/instrument/points-runtime.js";
import { CALLS, freshViews, type FormsModule } from "../fixtures/forms.ts";

const from = new URL("../fixtures/forms", import.meta.url).pathname;
const to = mkdtempSync(join(tmpdir(), "points-"));
const result = instrument({ from, to, mode: "points" });
writeFileSync(join(to, "package.json"), '{ "type": "module" }');
const load = async (folder: string): Promise<FormsModule> =>
  (await import(/* @vite-ignore */ pathToFileURL(join(folder, "forms.js")).href)) as FormsModule;

describe("points mode", () => {
  test("the transformed module answers as the original does", async () => {
    const [a, b] = [freshViews(), freshViews()];
    const original = (await load(from)).createForms(a);
    const transformed = (await load(to)).createForms(b);
    for (const [name, ...args] of CALLS) expect([name, transformed[name]?.(...args)]).toEqual([name, original[name]?.(...args)]);
    expect([...b.u8]).toEqual([...a.u8]);
  });

  test("names are unique and stable, numbers consecutive, and nothing is left unseen", () => {
    expect(result.warnings).toEqual([]);
    expect(result.points.map((p) => p.number)).toEqual(result.points.map((_, i) => i));
    expect(new Set(result.points.map((p) => p.name)).size).toBe(result.points.length);
    const again = instrument({ from, to: mkdtempSync(join(tmpdir(), "points-")), mode: "points" });
    expect(again.points).toEqual(result.points);
    expect(JSON.parse(readFileSync(join(to, "points.json"), "utf8"))).toEqual(result.points);
    const kinds = new Set(result.points.map((p) => p.kind));
    expect([...kinds].sort()).toEqual(["atomic", "bulk", "exit", "notify", "store", "wait"]);
    expect(result.points[0]).toEqual({ number: 0, name: "forms.js:createForms.set#1", file: "forms.js", line: 7, kind: "store" });
  });

  test("sequences, returns without braces and exits after loops keep their meaning", () => {
    const folder = mkdtempSync(join(tmpdir(), "points-in-"));
    const out = mkdtempSync(join(tmpdir(), "points-out-"));
    writeFileSync(
      join(folder, "a.js"),
      "export function f(i32, x) {\n  if (x) return i32[0] = (1, 2), 3;\n  for (;;) { if (i32[1] > 3) return; i32[1]++; }\n}\n",
    );
    const { points } = instrument({ from: folder, to: out, mode: "points" });
    expect(points.map((p) => [p.kind, p.line])).toEqual([
      ["store", 2],
      ["exit", 2],
      ["exit", 3],
      ["store", 3],
    ]);
    expect(readFileSync(join(out, "a.js"), "utf8")).toContain("return $pv(1, (i32[0] = ($pv(0, (1, 2))), 3));");
  });

  test("what looks like an access but cannot be seen is reported", () => {
    const folder = mkdtempSync(join(tmpdir(), "points-in-"));
    const out = mkdtempSync(join(tmpdir(), "points-out-"));
    writeFileSync(
      join(folder, "a.js"),
      "export function f({ i32 }, c) {\n  const words = i32;\n  [i32[0]] = [1];\n  Atomics.store(c, 0, 1);\n  i32.sort();\n}\n",
    );
    const { warnings } = instrument({ from: folder, to: out, mode: "points" });
    expect(warnings.map((w) => w.split(":")[1])).toEqual(["2", "3", "4", "5"]);
  });

  test("count mode counts, the log remembers, and off is off", async () => {
    const control = new PointControl(result.points.length);
    // vitest gives the tree its own copy of the runtime, so attach through the tree.
    const tree = (await import(/* @vite-ignore */ pathToFileURL(join(to, "$points.js")).href)) as typeof runtime;
    const forms = (await load(to)).createForms(freshViews());
    tree.attachPoints(control.words);
    control.count();
    forms["set"]?.(1, 2);
    forms["set"]?.(1, 2);
    expect([...control.counts().slice(0, 3)]).toEqual([2, 2, 0]);
    expect([...control.lasts().slice(0, 3)]).toEqual([3, 4, 0]);
    expect(control.log()).toEqual([0, 1, 0, 1]);
    control.off();
    forms["set"]?.(1, 2);
    expect(control.hits).toBe(4);
    tree.attachPoints(null);
  });
});

describe("exact kills", () => {
  const views = freshViews();
  const script = join(to, "worker.js");
  writeFileSync(
    script,
    `import { workerData } from "node:worker_threads";
import { attachPoints } from "./$points.js";
import { createForms } from "./forms.js";
const { buffer, words } = workerData;
const forms = createForms({ i32: new Int32Array(buffer), u8: new Uint8Array(buffer), f64: new Float64Array(buffer) });
attachPoints(words, 42);
for (let i = 0; i < 10; i++) forms.assign();
`,
  );
  const named = (name: string): number => result.points.find((p) => p.name === name)?.number ?? -1;
  const cases: [string, number, number, number][] = [
    // point, occurrence, i32[0] and i32[5] after the kill
    ["forms.js:createForms.assign#1", 1, 0, 0],
    ["forms.js:createForms.assign#2", 1, 5, 0],
    ["forms.js:createForms.assign#3", 1, 5, 6],
  ];
  test.each(cases)("%s, occurrence %i", async (name, occurrence, first, fifth) => {
    views.i32.fill(0);
    const control = new PointControl(result.points.length);
    control.arm(named(name), occurrence);
    const worker = new Worker(script, { workerData: { buffer: views.i32.buffer, words: control.words } });
    expect(await control.whenReached(5000)).toBe(named(name));
    expect(control.reachedTag).toBe(42);
    await worker.terminate();
    expect([views.i32[0], views.i32[5]]).toEqual([first, fifth]);
  });

  test("the k-th hit of any point, then let go instead of killed", async () => {
    const control = new PointControl(result.points.length);
    control.arm("any", 5);
    const worker = new Worker(script, { workerData: { buffer: views.i32.buffer, words: control.words } });
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    expect(await control.whenReached(5000)).toBe(named("forms.js:createForms.assign#2"));
    expect(control.hits).toBe(5);
    control.release();
    await ended;
    expect(control.hits).toBe(30);
  });
});
