/** The comparison as a picture: a histogram for each way, one under the other, in SVG. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { duration } from "./histogram.ts";
import type { Result } from "./text.ts";
import { ABOUT } from "./ways.ts";

const WIDTH = 960;
const ROW_HEIGHT = 118;
const COLOURS: Readonly<Record<string, string>> = {
  clock: "#9aa0a6",
  new: "#c5221f",
  lazy: "#e8910c",
  prealloc: "#188038",
  reserve: "#1a73e8",
  prefill: "#7b3fc4",
};

/** @returns the text of an SVG file. */
export function plot(results: readonly Result[]): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const count = Math.max(...results.map(({ summary }) => summary.count));
  const bars = results.flatMap(({ way, summary }) => summary.bars.map((bar) => ({ way, ...bar })));
  const figures = results.map(({ way, preparedMs, summary }) => ({ way, preparedMs, ...summary }));
  const ticks = [10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].filter((tick) => tick <= 10 * Math.max(...figures.map(({ max }) => max)));
  const picture = Plot.plot({
    document,
    width: WIDTH,
    height: 96 + ROW_HEIGHT * results.length,
    marginLeft: 64,
    marginRight: 16,
    marginTop: 62,
    marginBottom: 44,
    style: { background: "white", fontFamily: "sans-serif", fontSize: "12px" },
    x: {
      type: "log",
      domain: [10, 2 * Math.max(...figures.map(({ max }) => max))],
      label: "time of one allocation (each step ten times the last)",
      labelAnchor: "center",
      labelArrow: "none",
      ticks,
      tickFormat: duration,
    },
    y: {
      type: "log",
      domain: [0.6, count * 1.3],
      label: null,
      ticks: [1, 100, 1e4, 1e6].filter((tick) => tick <= count),
      tickFormat: (value: number) => (value >= 1e6 ? `${value / 1e6} M` : value.toLocaleString("en")),
      grid: true,
    },
    fy: { domain: results.map(({ way }) => way), label: null, axis: null, padding: 0.32 },
    marks: [
      Plot.ruleX(ticks, { stroke: "#eeeeee" }),
      Plot.rect(bars, {
        fy: "way",
        x1: "from",
        x2: "to",
        y1: () => 0.6,
        y2: "count",
        fill: ({ way }: { way: string }) => COLOURS[way] ?? "black",
        insetLeft: 0.5,
        insetRight: 0.5,
      }),
      Plot.ruleY([0.6], { stroke: "#5f6368" }),
      Plot.text(figures, {
        fy: "way",
        frameAnchor: "top-left",
        dy: -15,
        dx: 2,
        textAnchor: "start",
        fontSize: 13,
        fontWeight: "bold",
        fill: ({ way }: { way: string }) => COLOURS[way] ?? "black",
        text: ({ way }: { way: keyof typeof ABOUT }) => ABOUT[way],
      }),
      Plot.text(figures, {
        fy: "way",
        frameAnchor: "top-right",
        dy: -15,
        textAnchor: "end",
        fontSize: 12,
        fill: "#3c4043",
        text: ({ way, preparedMs, p50, p9999, max }: (typeof figures)[number]) =>
          `${way === "clock" || way === "new" ? "" : `start-up ${duration(preparedMs * 1e6)} · `}half within ${duration(p50)} · 99.99 % within ${duration(p9999)} · slowest ${duration(max)}`,
      }),
      Plot.ruleX(figures, {
        fy: "way",
        x: "max",
        y1: 0.6,
        y2: count,
        stroke: ({ way }: { way: string }) => COLOURS[way] ?? "black",
        strokeDasharray: "3,3",
      }),
      Plot.text([`The first ${count.toLocaleString("en")} allocations of 64 bytes in a fresh process`], {
        frameAnchor: "top-left",
        dy: -56,
        dx: -56,
        fontSize: 17,
        fontWeight: "bold",
        textAnchor: "start",
        facet: "super",
      }),
      Plot.text(["How many took how long (both axes logarithmic); the dashed line is the slowest one"], {
        frameAnchor: "top-left",
        dy: -37,
        dx: -56,
        fontSize: 12,
        fill: "#3c4043",
        textAnchor: "start",
        facet: "super",
      }),
    ],
  });
  picture.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return `${picture.outerHTML}\n`;
}
