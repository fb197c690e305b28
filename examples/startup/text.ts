/** The comparison for the terminal: a table, and a histogram for each way with a row of blocks. */
import { type Summary, duration } from "./histogram.ts";
import { ABOUT, type Way } from "./ways.ts";

export interface Result {
  readonly way: Way;
  readonly preparedMs: number;
  readonly summary: Summary;
}

const BLOCKS = " ▁▂▃▄▅▆▇█";
const DECADES = ["10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms"];
const CLASSES_PER_DECADE = 5;

export function* report(results: readonly Result[]): Generator<string, void, void> {
  const rows = [
    ["", "start-up", "half", "99 %", "99.99 %", "slowest", "all together"],
    ...results.map(({ way, preparedMs, summary: { p50, p99, p9999, max, sumMs } }) => [
      way,
      way === "clock" || way === "new" ? "–" : duration(preparedMs * 1e6),
      ...[p50, p99, p9999, max, sumMs * 1e6].map(duration),
    ]),
  ];
  const widths = (rows[0] as string[]).map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  for (const row of rows) {
    yield row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] as number) : cell.padStart((widths[column] as number) + 2)))
      .join("");
  }
  yield "";
  yield* blocks(results);
}

/** One allocation is the lowest block, all of them the highest: the steps between are powers. */
function* blocks(results: readonly Result[]): Generator<string, void, void> {
  const indent = Math.max(...results.map(({ way }) => way.length)) + 2;
  yield " ".repeat(indent) + DECADES.map((name) => `│${name}`.padEnd(CLASSES_PER_DECADE * 2)).join("");
  for (const { way, summary } of results) {
    const most = Math.log(summary.count);
    let line = way.padEnd(indent);
    for (let place = 0; place < DECADES.length * CLASSES_PER_DECADE; place++) {
      const from = 10 ** (1 + place / CLASSES_PER_DECADE);
      const bar = summary.bars.find((one) => Math.abs(one.from / from - 1) < 0.01);
      const height = bar === undefined ? 0 : 1 + Math.floor((7 * Math.log(bar.count)) / Math.max(most, 1));
      line += (BLOCKS[height] as string).repeat(2);
    }
    yield line.trimEnd();
  }
  yield "";
  for (const { way } of results) yield ABOUT[way];
}
