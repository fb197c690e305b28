/** Each request that the library makes is refused once; nothing may be lost, and everything can be given back afterwards. */
import { describe, expect, test } from "vitest";
import { DENIALS, denyEach, fillUp } from "../../tools/storm/denials.ts";

describe("nothing is lost", () => {
  test.each(DENIALS)("when %s, at each request in turn", (denial) => {
    const { denied, problems } = denyEach(denial);
    expect(problems).toEqual([]);
    expect(denied).toBeGreaterThan(2);
  });

  test.each(["heap has no page", "heap's lock is out of reach", "a lock is out of reach"] as const)(
    "of malloc, maps, mapped areas, arenas and items by the handful when %s, at each request in turn",
    (denial) => {
      const { denied, problems } = denyEach(denial, "parts");
      expect(problems).toEqual([]);
      expect(denied).toBeGreaterThan(20);
    },
  );

  test("when a memory is filled to the brim, however many pages are left", () => {
    expect(fillUp(70).problems).toEqual([]);
  });
});
