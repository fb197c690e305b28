import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { UsageError } from "../../src/cli/usage-error.ts";

describe("parseArguments", () => {
  test("without arguments asks for a replay of the shipped node trace on two workers", () => {
    const request = parseArguments([], "/somewhere");
    expect(request).toMatchObject({ workers: 2, kill: false, bytes: 0 });
    expect(request?.file).toMatch(/examples.traces.node\.trace\.gz$/);
  });

  test("takes the word replay, and every option", () => {
    const args = ["replay", "--trace", "here/some.gz", "--plot", "here/plot.svg", "--workers", "7", "--kill", "--bytes", "64m"];
    expect(parseArguments(args, "/somewhere")).toEqual({
      plot: "/somewhere/here/plot.svg",
      file: "/somewhere/here/some.gz",
      workers: 7,
      kill: true,
      bytes: 2 ** 26,
    });
  });

  test.each([
    ["5000000", 5_000_000],
    ["8192k", 2 ** 23],
    ["64M", 2 ** 26],
    ["2g", 2 ** 31],
  ])("reads --bytes %s", (text, bytes) => {
    expect(parseArguments(["--bytes", text], "/")?.bytes).toBe(bytes);
  });

  test.each<[string[], RegExp]>([
    [["--wokers", "2"], /Unknown option `--wokers`/],
    [["-x"], /Unknown option `-x`/],
    [["play"], /Unused args: `play`/],
    [["replay", "it"], /Unused args: `it`/],
    [["--workers", "two"], /--workers is "two"; allowed: 1 to 64/],
    [["--workers", "0"], /--workers is "0"/],
    [["--workers", "65"], /--workers is "65"/],
    [["--workers", "1.5"], /--workers is "1.5"/],
    [["--workers", "1", "--workers", "2"], /--workers is given more than once/],
    [["--workers"], /value is missing/],
    [["--trace"], /value is missing/],
    [["--bytes", "100"], /--bytes is "100"; allowed: 4194304/],
    [["--bytes", "3g"], /--bytes is "3g"/],
    [["--bytes", "64mb"], /--bytes is "64mb"/],
    [["--bytes", "-1"], /value is missing|Unknown option/],
    [["--plot", "plot.png"], /--plot is "plot.png"; it must be the name of an .svg file/],
    [["--plot", "a.svg", "--plot", "b.svg"], /--plot is given more than once/],
  ])("refuses %j", (args, why) => {
    expect(() => parseArguments(args, "/")).toThrow(UsageError);
    expect(() => parseArguments(args, "/")).toThrow(why);
  });
});
