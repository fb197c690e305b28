/**
 * After FreeBSD's stress2/misc/uma_zalloc_arg.sh: one in a hundred allocations that may not wait fails, wherever it can (the pages,
 * init, ctor), while the rest goes on. Whoever may wait gets an item all the same, and nothing is lost or counted twice.
 */
import { expect, test } from "vitest";
import { Uma, defineZone } from "../../src/index.ts";
import { randomFrom, seedFor } from "../fixtures/seeds.ts";

const STEPS = 20_000;

test.each(["pages", "init", "ctor", "all of them"] as const)("one in a hundred fails: %s", (where) => {
  const uma = Uma.create({ bytes: 4 * 2 ** 20, workers: 2 });
  const random = randomFrom(seedFor(`injected, ${where}`));
  let injecting = true;
  // Pages are asked for a hundred times more rarely than items: there one in ten fails.
  const strikes = (place: "pages" | "init" | "ctor"): boolean =>
    injecting && (where === place || where === "all of them") && random.below(place === "pages" ? 10 : 100) === 0;
  const counts = { born: 0, dead: 0, made: 0, unmade: 0, struck: 0 };
  const z = uma.open(
    defineZone("failing", {
      size: 400,
      bucket: 4,
      init: () => {
        if (strikes("init")) return ++counts.struck < 0;
        counts.born++;
        return true;
      },
      fini: () => void counts.dead++,
      ctor: () => {
        if (strikes("ctor")) return ++counts.struck < 0;
        counts.made++;
        return true;
      },
      dtor: () => void counts.unmade++,
    }),
  );
  // A hundred pages of the heap, handed out by a list of the test's own.
  const { heap } = uma.core;
  const pool = Array.from({ length: 100 }, () => heap.alloc(1, uma.slot, 0));
  // A refill that fails falls back to a single item, and asks again: the shortage lasts that long.
  let short = 0;
  z.setAllocf(({ bytes }) => {
    expect(bytes).toBe(4096);
    if (short === 0 && strikes("pages")) short = 2;
    if (short === 0) return pool.pop() ?? 0;
    short--;
    counts.struck++;
    return 0;
  });
  z.setFreef((at) => void pool.push(at));

  const held: number[] = [];
  let [failed, taken] = [0, 0];
  for (let step = 0; step < STEPS; step++) {
    const what = random.below(100);
    if (what < 55) {
      const item = z.tryAlloc();
      if (item === 0) failed++;
      else {
        taken++;
        held.push(item);
      }
    } else if (what < 98 || held.length === 0) {
      const item = held.pop();
      if (item !== undefined) z.free(item);
    } else {
      // Slabs come and go, so that pages and init are asked for again.
      for (const item of held.splice(0)) z.free(item);
      z.reclaim("drain");
    }
    expect(counts.made - counts.unmade).toBe(held.length);
  }
  expect(counts.struck).toBeGreaterThan(5);
  expect(failed).toBeGreaterThan(0);
  const stats = z.stats();
  expect({ used: stats.used, requests: stats.requests, fail: stats.fail }).toEqual({ used: held.length, requests: taken, fail: failed });
  expect(uma.verify().problems).toEqual([]);

  injecting = false;
  expect(z.allocWait({ timeout: 1000 })).not.toBe(0);
  for (const item of [...held, ...Array.from(z.owned()).filter((item) => !held.includes(item))]) z.free(item);
  z.reclaim("drain");
  expect(z.stats()).toMatchObject({ used: 0, slabs: 0 });
  expect(counts.dead).toBe(counts.born);
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});
