/**
 * The plot of a replay: what was alive and what was held over the trace, how much more the one was than the other, and whose it was.
 *
 * Drawn by Observable Plot on a document without a browser; both are development dependencies, loaded only when a plot is asked for.
 */
import type { MemoryStatistics } from "../uma/statistics.ts";
import { count, size } from "./figures.ts";
import type { Progress } from "./progress.ts";

/** The memory at one point of the trace. */
export interface Sample {
  /** Operations done. */
  readonly done: number;
  readonly liveBytes: number;
  readonly heldBytes: number;
  /** Bytes of slabs and of large blocks: [zone, bytes]. */
  readonly zones: readonly (readonly [name: string, bytes: number])[];
}

const LARGE = "large blocks";
const OTHERS = "other zones";
/** Zones that have a colour of their own. */
const NAMED_ZONES = 9;
const MB = 1e6;
const WIDTH = 960;
const GAP = 16;
const HEAD = 56;
/** While nearly nothing is alive the ratio says nothing. */
const MOST_RATIO = 3;
const LEGEND_LINE = 16;
const PANEL = { width: WIDTH, marginLeft: 64, marginRight: 150, style: { background: "none", fontSize: "12px", color: "#222" } } as const;

/** Pages in use that are no zone's slabs are large blocks, and a few records. */
export function sampleOf({ done, liveBytes, heldBytes }: Progress, { zones, heapInUse }: MemoryStatistics): Sample {
  const slabs = zones.filter((zone) => zone.bytes > 0).map((zone): [string, number] => [zone.name, zone.bytes]);
  const large = heapInUse - slabs.reduce((sum, [, bytes]) => sum + bytes, 0);
  return { done, liveBytes, heldBytes, zones: large > 0 ? [...slabs, [LARGE, large]] : slabs };
}

interface Share {
  readonly done: number;
  readonly zone: string;
  readonly megabytes: number;
}

/** The zones that hold most at their peak by name, the others together; in the order in which they are stacked. */
function sharesOf(samples: readonly Sample[]): { shares: Share[]; order: string[] } {
  const peaks = new Map<string, number>();
  for (const { zones } of samples) for (const [name, bytes] of zones) peaks.set(name, Math.max(peaks.get(name) ?? 0, bytes));
  const named = [...peaks].sort((one, other) => other[1] - one[1]).slice(0, NAMED_ZONES);
  const order = [...named.map(([name]) => name), ...(peaks.size > NAMED_ZONES ? [OTHERS] : [])];
  const shares = samples.flatMap(({ done, zones }) => {
    const at = new Map(order.map((name) => [name, 0]));
    for (const [name, bytes] of zones) {
      const row = at.has(name) ? name : OTHERS;
      at.set(row, (at.get(row) ?? 0) + bytes);
    }
    return order.map((zone) => ({ done, zone, megabytes: (at.get(zone) ?? 0) / MB }));
  });
  return { shares, order };
}

/** The SVG, three panels one below the other. @param title - what was replayed. */
export async function drawPlot(title: string, taken: readonly Sample[]): Promise<string> {
  // Looks between which nothing was done are one.
  const samples = taken.filter(({ done }, n) => done !== taken[n + 1]?.done);
  const Plot = await import("@observablehq/plot");
  const { parseHTML } = await import("linkedom");
  const { document } = parseHTML("<html><body></body></html>");
  const x = { label: "operations done →", tickFormat: (n: number) => count(n) };
  const lines = samples.flatMap(({ done, liveBytes, heldBytes }) => [
    { done, what: "held", megabytes: heldBytes / MB },
    { done, what: "live", megabytes: liveBytes / MB },
  ]);
  const color = { domain: ["held", "live"], range: ["#d95f02", "#1b6ca8"] };
  const ratios = samples
    .filter(({ liveBytes }) => liveBytes > 0)
    .map(({ done, liveBytes, heldBytes }) => ({ done, ratio: heldBytes / liveBytes }));
  const peakLive = Math.max(...samples.map(({ liveBytes }) => liveBytes));
  const { shares, order } = sharesOf(samples);
  const panels = [
    Plot.plot({
      ...PANEL,
      document,
      height: 240,
      x: { ...x, label: null },
      y: { label: "↑ MB live and held", grid: true },
      color,
      marks: [
        Plot.ruleY([0]),
        Plot.lineY(lines, { x: "done", y: "megabytes", stroke: "what", strokeWidth: 1.8 }),
        Plot.text(lines, Plot.selectLast({ x: "done", y: "megabytes", z: "what", fill: "what", text: "what", textAnchor: "start", dx: 6 })),
      ],
    }),
    Plot.plot({
      ...PANEL,
      document,
      height: 180,
      x: { ...x, label: null },
      y: { label: "↑ held ÷ live", grid: true, domain: [1, MOST_RATIO], clamp: true },
      marks: [
        Plot.ruleY([1]),
        Plot.ruleY([1.35], { stroke: "#999", strokeDasharray: "4 3" }),
        Plot.lineY(ratios, { x: "done", y: "ratio", stroke: "#d95f02", strokeWidth: 1.5 }),
      ],
    }),
    Plot.plot({
      ...PANEL,
      document,
      height: 300,
      x,
      y: { label: "↑ MB held by zone", grid: true },
      color: { domain: order, scheme: "tableau10" },
      marks: [
        Plot.areaY(shares, { x: "done", y: "megabytes", fill: "zone", order }),
        Plot.ruleY([0]),
        ...order.map((zone, row) =>
          Plot.text([zone], {
            frameAnchor: "top-right",
            dx: 12,
            dy: row * LEGEND_LINE,
            text: (d) => d,
            fill: () => zone,
            textAnchor: "start",
          }),
        ),
      ],
    }),
  ];
  let top = HEAD;
  const parts = panels.map((panel) => {
    const height = Number(panel.getAttribute("height"));
    const part = `<svg x="0" y="${top}" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif">${panel.innerHTML}</svg>`;
    top += height + GAP;
    return part;
  });
  const subtitle = `at most ${size(peakLive)} live; dashed: 1.35 times`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}" font-family="system-ui, sans-serif">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<text x="24" y="26" font-size="17" font-weight="600">${escaped(title)}</text>`,
    `<text x="24" y="45" font-size="12" fill="#666">${escaped(subtitle)}</text>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
