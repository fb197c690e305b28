/** The scull example with a small file. */
import { expect, test } from "vitest";
import { show } from "../../examples/scullv/show.ts";

test("scullv and scullp give a file back bit for bit that several workers wrote and read", async () => {
  const lines: string[] = [];
  const right = await show({ bytes: 5_000_003, workers: 2, say: (line) => lines.push(line) });
  const text = lines.join("\n");
  expect(text).toMatch(/scullv: written in .* bit for bit/);
  expect(text).toMatch(/scullp: written in .* bit for bit/);
  expect(text).toContain("qset 500, order 4, sz 5000003");
  expect(text).toMatch(/ {2}item at [0-9a-f]{8}, qset at [0-9a-f]{8}\n {4}0:8[0-9a-f]{7}\n {4}1:8[0-9a-f]{7}/);
  expect(text).toMatch(/qset 500, order 0, sz 5000003\n {2}item at [0-9a-f]{8}/);
  expect(lines.at(-1)).toBe("verify: ok");
  expect(right).toBe(true);
});
