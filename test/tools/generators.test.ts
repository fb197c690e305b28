/** Theory: as generators the modules answer as before, plainly driven and scheduled, and every access is seen. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { call, explore, openTree, runSync, write, type Scenario } from "../../tools/explore/index.ts";
import { instrument } from "../../tools/instrument/index.ts";
import { CALLS, freshViews, type FormsModule } from "../fixtures/forms.ts";

const from = new URL("../fixtures/forms", import.meta.url).pathname;
const original = (await import(/* @vite-ignore */ pathToFileURL(join(from, "forms.js")).href)) as FormsModule;
const tree = openTree(from);
const transformed = await tree.load<FormsModule>("forms.js");

function expected(): { results: unknown[]; memory: number[] } {
  const views = freshViews();
  const forms = original.createForms(views);
  return { results: CALLS.map(([name, ...args]) => [name, forms[name]?.(...args)]), memory: [...views.u8] };
}

/** Instruments one module given as text. */
function treeOf(text: string): ReturnType<typeof openTree> {
  const folder = mkdtempSync(join(tmpdir(), "gen-"));
  writeFileSync(join(folder, "a.js"), text);
  return openTree(folder);
}

describe("generator mode", () => {
  test("driven plainly, the transformed module answers as the original does", () => {
    const views = freshViews();
    const forms = transformed.createForms(views);
    const results = CALLS.map(([name, ...args]) => [name, runSync(forms[name]?.(...args))]);
    expect({ results, memory: [...views.u8] }).toEqual(expected());
  });

  test("scheduled, with replays and with frames forgotten, too", () => {
    let seen: unknown = null;
    const scenario: Scenario = {
      name: "forms",
      maxKills: 0,
      build() {
        const views = freshViews();
        return {
          buffer: views.i32.buffer as SharedArrayBuffer,
          workers: [
            {
              name: "only",
              *run() {
                const forms = transformed.createForms(views);
                const results: unknown[] = [];
                for (const [name, ...args] of CALLS) results.push([name, yield* call(forms[name]?.(...args))]);
                return results;
              },
            },
          ],
          check(ends) {
            seen = { results: ends[0]?.result, memory: [...views.u8] };
          },
        };
      },
    };
    const result = explore(scenario, { warmUp: 1 });
    expect(result).toMatchObject({ outcome: "complete", violation: null });
    expect(JSON.parse(JSON.stringify(seen))).toEqual(JSON.parse(JSON.stringify(expected())));
  });

  test("hooks of the test may be generators of their own", () => {
    const ends = new Set<string>();
    const result = explore({
      name: "hooks",
      maxKills: 1,
      build() {
        const views = freshViews();
        const hook = function* (x: number): Generator<unknown, void, unknown> {
          yield* write(views.i32, x, x * 10);
        };
        return {
          buffer: views.i32.buffer as SharedArrayBuffer,
          workers: [
            {
              name: "w",
              *run() {
                return yield* call(transformed.createForms(views)["hooksRun"]?.({ ctor: hook, dtor: hook }));
              },
            },
          ],
          check: ([end]) => void ends.add([end?.status, String(end?.result), views.i32[7], views.i32[8]].join(" ")),
        };
      },
    });
    expect(result.outcome).toBe("complete");
    expect([...ends].sort()).toEqual(["done 150 70 80", "killed undefined 0 0", "killed undefined 70 0", "killed undefined 70 80"]);
  });

  test("accessors made by defineProperty stay accessors", async () => {
    const text =
      "export function create({ i32 }) { const v = {}; Object.defineProperty(v, 'x', { get() { return i32[0]; }, set(n) { i32[0] = n; } }); Object.defineProperties(v, { y: { get: () => i32[0] + 1 } }); return v; }";
    const { create } = await treeOf(text).load<{ create: (m: object) => { x: number; y: number } }>("a.js");
    const view = create(freshViews());
    view.x = 4;
    expect([view.x, view.y]).toEqual([4, 5]);
  });

  test("sites name function, line and source text", () => {
    const { sites, warnings } = instrument({ from, to: mkdtempSync(join(tmpdir(), "gen-")), mode: "generators" });
    expect(warnings).toEqual([]);
    expect(sites.find((s) => s.text === "i32[x++] += 4")).toMatchObject({ function: "createForms.compound", file: "forms.js", line: 13 });
    expect(sites.find((s) => s.text.startsWith("Atomics.xor"))).toMatchObject({ function: "createForms.atomics" });
    expect(sites.find((s) => s.function === "createForms.Zone.#bump")).toBeDefined();
  });

  test("functions that cannot reach shared memory stay plain, and callbacks of built-ins work", async () => {
    const { twice, TABLE } = await tree.load<{ twice: (x: number) => number; TABLE: number[] }>("helper.js");
    expect([twice(4), TABLE]).toEqual([8, [2, 4, 6]]);
  });

  test("an access that the schedule could not see is an error while scheduled", async () => {
    const text =
      "export function create({ i32 }) { function peek(x) { return i32[x]; } function sum() { return [1, 2].map((x) => peek(x)).length; } return { sum }; }";
    const { create } = await treeOf(text).load<{ create: (m: object) => { sum: () => number } }>("a.js");
    expect(runSync(create(freshViews()).sum())).toBe(2);
    const views = freshViews();
    const result = explore({
      name: "hidden",
      maxKills: 0,
      build: () => ({
        buffer: views.i32.buffer as SharedArrayBuffer,
        workers: [
          {
            name: "w",
            *run() {
              return yield* call(create(views).sum());
            },
          },
        ],
        check: () => undefined,
      }),
    });
    expect(result.violation?.message).toMatch(/plain function calls one that touches shared memory.*i32\[x\] in create.peek/);
  });

  test("time and chance are the same in every execution", async () => {
    const text =
      "export function create({ i32 }) { return { run() { const a = [Date.now(), performance.now(), Math.random()]; i32[0] = 1; return [...a, performance.now(), Math.random()]; } }; }";
    const { create } = await treeOf(text).load<{ create: (m: object) => { run: () => number[] } }>("a.js");
    const seen = new Set<string>();
    const scenario: Scenario = {
      name: "time",
      maxKills: 0,
      build() {
        const views = freshViews();
        return {
          buffer: views.i32.buffer as SharedArrayBuffer,
          workers: [{ name: "w", run: () => create(views).run() }],
          check: ([end]) => void seen.add(JSON.stringify(end?.result)),
        };
      },
    };
    explore(scenario);
    explore(scenario);
    expect(seen.size).toBe(1);
  });
});
