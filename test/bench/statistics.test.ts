import { describe, expect, it } from "vitest";
import { judge, type Measured } from "../../bench/harness/rows.ts";
import { median, summarise } from "../../bench/harness/statistics.ts";
import { across, type Row } from "../../bench/harness/suite.ts";

describe("a median", () => {
  it("is the middle value of an odd number of them, in whatever order they come", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([3])).toBe(3);
  });

  it("is the mean of the middle two of an even number", () => {
    expect(median([10, 1, 2, 4])).toBe(3);
  });

  it("compares numbers as numbers", () => {
    expect(median([100, 9, 20])).toBe(20);
  });

  it("leaves its values as they were", () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it("does not exist of nothing", () => {
    expect(median([])).toBeNaN();
  });

  it("stands in a summary with the least and the greatest", () => {
    expect(summarise([4, 1, 7, 2, 3])).toEqual({ median: 3, min: 1, max: 7 });
  });
});

describe("a row", () => {
  const measured: Measured[] = [
    { name: "floor", variant: "a", nsPerOp: 2, figures: {} },
    { name: "floor", variant: "b", nsPerOp: 1, figures: {} },
    { name: "floor", variant: "c", nsPerOp: 4, figures: {} },
    { name: "zone", variant: "a", nsPerOp: 3, figures: { collections: 2 } },
    { name: "zone", variant: "b", nsPerOp: 4, figures: {} },
    { name: "zone", variant: "c", nsPerOp: 8, figures: {} },
  ];
  const bounds = { label: "zone ÷ floor", limit: 2, aim: 1.5 };

  it("is the ratio of two cases", () => {
    const row: Row = { ...bounds, over: across("zone", "floor", ["a"]), direction: "at most" };
    expect(judge(row, measured)).toEqual({ row, value: 1.5, verdict: "PASS", aimMet: true });
  });

  it("is the median of the ratios where it goes over several variants", () => {
    const row: Row = { ...bounds, over: across("zone", "floor", ["a", "b", "c"]), direction: "at most" };
    expect(judge(row, measured)).toEqual({ row, value: 2, verdict: "PASS", aimMet: false });
  });

  it("is what was added, where one time is taken off another", () => {
    const over = [{ numerator: ["zone", "c"], less: ["zone", "b"], denominator: ["floor", "a"] }] as const;
    expect(judge({ ...bounds, over, direction: "at most" }, measured)?.value).toBe(2);
    const unknown = [{ ...over[0], less: ["zone", "d"] as const }];
    expect(judge({ ...bounds, over: unknown, direction: "at most" }, measured)).toBeNull();
  });

  it("is missed on the wrong side of its limit, whichever that is", () => {
    const over = across("zone", "floor", ["b"]);
    expect(judge({ ...bounds, over, direction: "at most" }, measured)?.verdict).toBe("MISS");
    expect(judge({ ...bounds, over, direction: "at least" }, measured)?.verdict).toBe("PASS");
    const inverse = across("floor", "zone", ["b"]);
    expect(judge({ ...bounds, over: inverse, direction: "at least" }, measured)?.verdict).toBe("MISS");
  });

  it("may judge a figure of a case instead", () => {
    const row: Row = { label: "collections", figure: { of: ["zone", "a"], key: "collections" }, limit: 0, aim: 0, direction: "at most" };
    expect(judge(row, measured)).toMatchObject({ value: 2, verdict: "MISS" });
  });

  it("is not judged while something that it needs was not measured", () => {
    expect(judge({ ...bounds, over: across("zone", "new", ["a"]), direction: "at most" }, measured)).toBeNull();
    expect(judge({ ...bounds, figure: { of: ["zone", "a"], key: "share" }, direction: "at most" }, measured)).toBeNull();
    expect(judge({ ...bounds, figure: { of: ["new", "a"], key: "share" }, direction: "at most" }, measured)).toBeNull();
  });
});
