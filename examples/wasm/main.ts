/**
 * SQLite on zalloc: a C program compiled to WebAssembly, whose malloc is zalloc's, twice at once on one memory. Their reports are
 * compared with those of the same program as a native process. Then one of the two is killed in the middle, and the other goes on.
 */
import { NoCompiler } from "../../tools/wasm-compiler.ts";
import { buildProgram, nativeReport } from "./build.ts";
import { createTown } from "./town.ts";

const YEARS = 12;
const PEOPLE = 1500;

function check(what: string, holds: boolean): void {
  console.log(`${holds ? "✓" : "✗"} ${what}`);
  if (!holds) process.exitCode = 1;
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, i) => line === other[i]);
}

function build() {
  try {
    return buildProgram({ say: (line) => console.log(line) });
  } catch (error) {
    if (!(error instanceof NoCompiler)) throw error;
    console.error(`example:wasm: ${error.message}`);
    process.exit(2);
  }
}

const built = build();
const expected = [1, 2, 3].map((seed) => nativeReport(built, seed, YEARS, PEOPLE));
const town = createTown(built);

console.log("\nTwo programs on one memory:");
const [one, two] = await Promise.all([town.run(0, 1, YEARS, PEOPLE), town.run(1, 2, YEARS, PEOPLE)]);
check(
  `the first wrote the ${one.lines.length} lines that it writes natively, in ${one.ms.toFixed(0)} ms`,
  one.code === 0 && same(one.lines, expected[0] ?? []),
);
check(`the second wrote its ${two.lines.length} lines, in ${two.ms.toFixed(0)} ms`, two.code === 0 && same(two.lines, expected[1] ?? []));
check("neither left anything allocated", town.heap.stats().used === 0);

console.log("\nOne of two is killed:");
const killAfter = Math.floor((expected[0]?.length ?? 0) / 2);
const [killed, other] = await Promise.all([town.run(0, 1, YEARS, PEOPLE, killAfter), town.run(1, 3, YEARS, PEOPLE)]);
const freed = killed.report?.zones.reduce((sum, zone) => sum + zone.freed, 0) ?? 0;
const blocks = killed.report?.blocks.length ?? 0;
check(
  `the first was killed after ${killAfter} lines; its ${freed} allocations and ${blocks} large ones were freed`,
  killed.code === null && freed > 0,
);
check("the other wrote all of its lines", other.code === 0 && same(other.lines, expected[2] ?? []));
check("nothing is left allocated", town.heap.stats().used === 0);

console.log("\nA new program where the dead one was:");
const again = await town.run(0, 1, YEARS, PEOPLE);
check(`it wrote the same ${again.lines.length} lines`, again.code === 0 && same(again.lines, expected[0] ?? []));

console.log();
for (const line of town.uma.table()) console.log(line);
const { ok, problems } = town.uma.verify();
console.log(`verify: ${ok ? "ok" : problems.join("; ")}`);
if (!ok) process.exitCode = 1;
town.uma.detach();
