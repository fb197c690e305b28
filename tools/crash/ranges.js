// @ts-check
/**
 * What a victim does with arenas: a tree of them (pages from the heap, leaves of sixteen bytes from the pages), identifiers
 * beside them, and one that comes and goes. Recovery reports what a dead victim held, and the campaign frees it.
 */

/** @type {{ arena: any, start: number, size: number, x: boolean }[]} */
const held = [];

/** @param {any} uma @param {(below: number) => number} random */
export function ranges(uma, random) {
  const { arenas } = uma;
  const pages = arenas.create("crash pages", { quantum: 4096, source: arenas.heap, importMin: 3 * 4096 });
  const leaf = arenas.create("crash leaf", { quantum: 16, source: pages });
  const ids = arenas.create("crash ids", { span: { start: 1000, size: 400 }, identifiers: true });
  for (let n = 0; n < 12; n++) {
    const arena = [pages, leaf, ids][random(3)];
    const x = random(3) === 0;
    const size = arena.quantum * (1 + random(5));
    const start = x
      ? arena.tryXalloc(size, { align: arena.quantum * 4, min: random(2) * arena.quantum * 8 })
      : arena.tryAlloc(size, { policy: ["instant", "best", "first", "next"][random(4)] });
    if (start >= 0) held.push({ arena, start, size, x });
  }
  giveBack(random(80), random);
  if (random(3) > 0) return;
  const passing = arenas.create("crash passing", { source: pages });
  passing.tryAlloc(5000);
  passing.destroy({ force: true });
}

/** Frees all but `keep` ranges. @param {number} keep @param {(below: number) => number} random */
export function giveBack(keep, random) {
  while (held.length > keep) {
    const [range] = held.splice(random(held.length), 1);
    if (range === undefined) continue;
    const { arena, start, size, x } = range;
    if (x) arena.xfree(start, size);
    else arena.free(start, size);
  }
}
