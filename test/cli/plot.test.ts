import { describe, expect, test } from "vitest";
import { type Sample, drawPlot } from "../../src/cli/plot.ts";

function sampleAt(done: number, zones: Sample["zones"]): Sample {
  const held = zones.reduce((sum, [, bytes]) => sum + bytes, 0);
  return { done, liveBytes: held / 2, heldBytes: held, zones };
}

describe("the plot of a replay", () => {
  test("names what held most, and puts the others together", async () => {
    const zones = Array.from({ length: 12 }, (_, n) => [`zone-${n}`, (n + 1) * 1e6] as const);
    const svg = await drawPlot("a <trace>", [sampleAt(0, []), sampleAt(10, zones), sampleAt(20, zones.slice(0, 3))]);
    expect(svg).toMatch(/^<svg [^>]*>/);
    expect(svg).toContain("a &lt;trace>");
    for (const name of ["zone-11", "zone-3", "other zones", "held", "live"]) expect(svg).toContain(`>${name}<`);
    expect(svg).not.toContain(">zone-2<");
  });

  test("is made of what was seen: more memory is a higher line", async () => {
    const heights = await Promise.all(
      [1e6, 3e6].map(async (bytes) => {
        const svg = await drawPlot("t", [sampleAt(0, [["z", 4e6]]), sampleAt(10, [["z", bytes]])]);
        const [, path = ""] = /stroke-width="1.8"[^>]*>.*?<path[^>]* d="([^"]*)"/s.exec(svg) ?? [];
        return Number(path.split(",").at(-1));
      }),
    );
    expect(heights.every((height) => Number.isFinite(height))).toBe(true);
    expect(heights[1]).toBeLessThan(heights[0] as number);
  });

  test("counts samples between which nothing was done once", async () => {
    const twice = await drawPlot("t", [sampleAt(0, [["z", 1e6]]), sampleAt(10, [["z", 9e6]]), sampleAt(10, [["z", 2e6]])]);
    const once = await drawPlot("t", [sampleAt(0, [["z", 1e6]]), sampleAt(10, [["z", 2e6]])]);
    expect(twice).toBe(once);
  });
});
