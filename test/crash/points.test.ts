/**
 * Kills are only as exact as the list of points is complete. The instrument finds stores by parsing; this test finds them once
 * more by plain text, knowing nothing of the instrument, and insists on the same number in each file.
 */
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCrashTrees, type CrashTrees } from "../../tools/crash/trees.ts";
import { UNREACHED } from "../../tools/crash/unreached.ts";

const NAME = `points-${process.pid}`;

let trees: CrashTrees;
beforeAll(() => {
  trees = buildCrashTrees(NAME);
});
afterAll(() => rmSync(new URL(`../../build/${NAME}`, import.meta.url), { recursive: true, force: true }));

interface Stores {
  element: number;
  atomic: number;
  bulk: number;
}

/** Comments and strings become blanks: what is left is code. Templates stay, for they hold code. */
function codeOf(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/gm, (text) => " ".repeat(text.length));
}

/** Index just behind the bracket that closes the one at `open`. */
function behindBracket(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === "[") depth++;
    else if (code[at] === "]" && --depth === 0) return at + 1;
  }
  return code.length;
}

function storesIn(source: string): Stores {
  const code = codeOf(source);
  const found: Stores = { element: 0, atomic: 0, bulk: 0 };
  for (const match of code.matchAll(/(\+\+|--)?\s*(?<![\w$])(?:[\w$]+\.)*(?:i32|u8|f64)\[/g)) {
    const after = code.slice(behindBracket(code, match.index + match[0].length - 1)).trimStart();
    if (match[1] !== undefined || /^(?:=(?!=)|\+\+|--|(?:[-+*/%&|^]|\*\*|<<|>>>?|&&|\|\||\?\?)=(?!=))/.test(after)) found.element++;
  }
  found.atomic = [...code.matchAll(/\bAtomics\.(?:store|add|sub|and|or|xor|exchange|compareExchange)\(/g)].length;
  found.bulk = [...code.matchAll(/(?<![\w$])(?:i32|u8|f64)\.(?:fill|set|copyWithin)\(/g)].length;
  return found;
}

function modulesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.replaceAll("\\", "/"))
    .sort();
}

describe("the list of kill points", () => {
  test("is made without a shared access in a form that the instrument does not understand", () => {
    expect(trees.warnings).toEqual([]);
  });

  test("has a point for every store that a plain search of the emitted text finds", () => {
    const listed = JSON.parse(readFileSync(join(trees.instrumented, "points.json"), "utf8")) as { file: string; kind: string }[];
    const found: Record<string, Stores> = {};
    const pointed: Record<string, Stores> = {};
    for (const file of modulesUnder(trees.dist).filter((name) => /^(?:backend|uma)\//.test(name))) {
      const stores = storesIn(readFileSync(join(trees.dist, file), "utf8"));
      if (stores.element + stores.atomic + stores.bulk === 0) continue;
      const of = (kind: string): number => listed.filter((point) => point.file === file && point.kind === kind).length;
      found[file] = stores;
      pointed[file] = { element: of("store"), atomic: of("atomic"), bulk: of("bulk") };
    }
    expect(Object.keys(found).length).toBeGreaterThan(10);
    expect(pointed).toEqual(found);
  });

  test("misses a store whose point is taken away", () => {
    const source = readFileSync(join(trees.dist, "backend/memory/journal.js"), "utf8");
    const { element } = storesIn(source);
    expect(element).toBeGreaterThan(0);
    expect(storesIn(`${source}\ni32[w + 1] = i32[a[b[0]]];`).element).toBe(element + 1);
    expect(storesIn(`${source}\ni32[w + 1]++; --f64[w >> 1]; if (i32[w] === 3) {}`).element).toBe(element + 2);
  });

  test("is all that the list of points out of reach speaks of", () => {
    const names = trees.points.map((point) => point.name);
    for (const { reason, points } of UNREACHED) {
      const stale = points.filter((pattern) => !names.some((name) => pattern.test(name)));
      expect(stale, reason).toEqual([]);
    }
  });

  test("names every point once", () => {
    const names = trees.points.map((point) => point.name);
    expect(new Set(names).size).toBe(names.length);
  });
});
