import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { exhaust } from "../../examples/startup/exhausted.ts";
import { duration, summarise } from "../../examples/startup/histogram.ts";
import { plot } from "../../examples/startup/plot.ts";
import { type Result, report } from "../../examples/startup/text.ts";
import { ABOUT, WAYS, take } from "../../examples/startup/ways.ts";

describe("a summary of latencies", () => {
  test("counts each once, in classes that follow each other", () => {
    const latencies = Float64Array.from({ length: 1000 }, (_, n) => 10 + n ** 2.5);
    const { bars, count, p50, p99, max, sumMs } = summarise(latencies);
    expect(bars.reduce((sum, bar) => sum + bar.count, 0)).toBe(1000);
    expect(count).toBe(1000);
    for (const { from, to } of bars) expect(to / from).toBeCloseTo(10 ** 0.2, 10);
    expect([p50, p99, max]).toEqual([latencies[500], latencies[990], latencies[999]]);
    expect(sumMs).toBeCloseTo(latencies.reduce((sum, ns) => sum + ns, 0) / 1e6, 6);
  });

  test("has room for what is too short and too long to tell", () => {
    const { bars } = summarise(Float64Array.of(0, -3, 1, 5e9));
    expect(bars.map(({ from, count }) => [Math.round(from), count])).toEqual([
      [10, 3],
      [Math.round(10 ** 8.8), 1],
    ]);
  });

  test("writes durations with units that fit", () => {
    expect([7, 999, 1_500, 123_456, 5e6, 2.5e9].map(duration)).toEqual(["7 ns", "999 ns", "1.5 µs", "123 µs", "5 ms", "2.5 s"]);
  });
});

test.each(WAYS)("%s: as many latencies as allocations", (way) => {
  const { latencies, preparedMs } = take(way, 3000);
  expect(latencies).toHaveLength(3000);
  expect(latencies.every((ns) => ns >= 0)).toBe(true);
  expect(preparedMs).toBeGreaterThanOrEqual(0);
});

test("the picture has a row for each way, with its name and its bars, and every bar lies inside", () => {
  const results: Result[] = WAYS.map((way, n) => ({
    way,
    preparedMs: n,
    summary: summarise(Float64Array.from({ length: 500 }, (_, at) => 20 + (at % 50) * 10 ** n)),
  }));
  const { document } = parseHTML(plot(results));
  const svg = document.querySelector("svg");
  if (svg === null) throw new Error("no picture");
  const [, , width, height] = (svg.getAttribute("viewBox") ?? "").split(" ").map(Number) as [number, number, number, number];
  const bars = results.reduce((sum, { summary }) => sum + summary.bars.length, 0);
  const rects = [...svg.querySelectorAll("[aria-label=rect] rect")];
  expect(rects).toHaveLength(bars);
  for (const rect of rects) {
    const [x, y, w, h] = ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name))) as [number, number, number, number];
    expect(w).toBeGreaterThan(0);
    expect(h).toBeGreaterThan(0);
    expect(x).toBeGreaterThanOrEqual(0);
    expect(x + w).toBeLessThanOrEqual(width);
    expect(y + h).toBeLessThanOrEqual(height);
  }
  for (const way of WAYS) expect(svg.textContent).toContain(ABOUT[way]);
  expect(svg.getAttribute("xmlns")).toBe("http://www.w3.org/2000/svg");
});

test("the text has a row and a histogram for each way", () => {
  const results: Result[] = WAYS.map((way) => ({ way, preparedMs: 1.5, summary: summarise(Float64Array.of(50, 60, 5000)) }));
  const lines = [...report(results)];
  for (const way of WAYS) {
    const [row = "", histogram = ""] = lines.filter((line) => line.startsWith(`${way} `));
    expect(row).toMatch(/60 ns +5 µs +5 µs +5 µs +5.1 µs$/);
    expect(histogram).toMatch(/█|[▁-▇]/);
  }
});

test.each([1, 50, 200])("%i items that were set aside are there when the memory is exhausted", (count) => {
  const { lines, problems } = exhaust(count);
  expect(problems).toEqual([]);
  expect(lines.filter((line) => line.includes("all there")).length).toBe(4);
  expect(lines.find((line) => line.startsWith("unprepared"))).toMatch(/ 0 items$/);
});

test("the command writes the picture, and ends by itself with the zones' table and verify: ok", () => {
  const folder = mkdtempSync(join(tmpdir(), "zalloc-startup-"));
  try {
    const out = join(folder, "startup.svg");
    const root = new URL("../../", import.meta.url);
    const args = ["--import", "tsx", "examples/startup/main.ts", "--count", "2000", "--runs", "1", "--out", out];
    const printed = execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    expect(printed).toContain("2,000 allocations");
    expect(printed).toMatch(/^reserved: +64 /m);
    expect(printed.trimEnd()).toMatch(/verify: ok$/);
    expect(readFileSync(out, "utf8")).toMatch(/^<svg/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
