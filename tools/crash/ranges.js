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

/** @type {number[]} */
const mapped = [];
/** @type {any} */
let addresses = null;

/**
 * Maps areas and takes them away; a dead victim's are reported, and the campaign takes them away.
 * @param {any} tree @param {any} uma @param {(below: number) => number} random
 */
export function maps(tree, uma, random) {
  const vm = (addresses ??= tree.openVmalloc(uma, { bytes: 2 ** 22, warnBytes: 0 }));
  for (let n = 0; n < 4; n++) {
    const p = vm.alloc(4096 * (1 + random(6)), { nowait: random(4) === 0 });
    if (p !== 0) mapped.push(p);
  }
  while (mapped.length > random(6)) vm.free(mapped.splice(random(mapped.length), 1)[0]);
}

/** Frees all but `keep` ranges. @param {number} keep @param {(below: number) => number} random */
export function giveBack(keep, random) {
  if (keep === 0) for (const p of mapped.splice(0)) addresses.free(p);
  while (held.length > keep) {
    const [range] = held.splice(random(held.length), 1);
    if (range === undefined) continue;
    const { arena, start, size, x } = range;
    if (x) arena.xfree(start, size);
    else arena.free(start, size);
  }
}
