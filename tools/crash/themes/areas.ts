/** Mapped areas (vmalloc): pages put together to stretches of addresses, and taken apart again. */
import type * as Library from "../../../src/index.ts";
import { type Actor, type Theme } from "../theme.ts";

/**
 * Addresses, which are no int32, in the ledger's own words; −address while the area is being taken away. OPEN: areas that may be
 * coming.
 */
const OPEN = 0;
const FIRST = 1;
const PLACES = 12;
/** Places behind them for what could not be taken away at once. */
const KEPT = 24;
const PAGE = 4096;
const ADDRESSES = 2 ** 22;
/** What nobody gets: there are not as many addresses. */
const MEMORY_BYTES = 6 * 2 ** 20;

export const areasTheme: Theme = {
  name: "areas",
  steps: 70,

  definitions() {
    return [];
  },

  step(a) {
    const vm = areasOf(a);
    const extra = wordsOf(a);
    const at = FIRST + a.random(PLACES);
    const p = extra[at] ?? 0;
    if (a.random(25) === 0) tooMany(a);
    if (a.random(12) === 0) foreign(a);
    if (p > 0 && a.random(3) === 0) return write(a, p);
    if (p > 0) return remove(a, at);
    if (extra[at] !== 0) return;
    extra[OPEN] = 1;
    extra[at] = vm.alloc(PAGE * (1 + a.random(6)), { nowait: a.random(4) === 0 });
    extra[OPEN] = 0;
  },

  end(a) {
    for (let n = 0; n < PLACES; n++) remove(a, FIRST + n);
  },

  account(parent, say) {
    const extra = wordsOf(parent);
    const have = new Set(Array.from(areasOf(parent).info(), ({ address }) => address));
    const words = Array.from(extra.subarray(FIRST, FIRST + PLACES + KEPT));
    for (const p of words) if (p > 0 && !have.has(p)) say(`lost: the area at ${p} was the victim's and is not mapped`);
    const strange = [...have].filter((p) => !words.includes(p) && !words.includes(-p)).length;
    if (strange > (extra[OPEN] ?? 0)) say(`lost: ${strange} areas are mapped that nobody knows`);
  },

  settle(parent, say) {
    const vm = areasOf(parent);
    for (const { address, kind } of Array.from(vm.info())) parent.uma.core.areas.remove(address, kind === "ioremap");
    const { areas, bytes, used } = vm.stats();
    if (areas + bytes + used !== 0) say(`lost: ${areas} mapped areas are left, ${bytes} bytes`);
  },
};

function wordsOf({ ledger }: Actor): Float64Array {
  const { buffer, byteOffset } = ledger.extra;
  return new Float64Array(buffer, (byteOffset + 7) & ~7, FIRST + PLACES + KEPT);
}

function areasOf(a: Actor): Library.Vmalloc {
  let vm = a.memo.get("areas") as Library.Vmalloc | undefined;
  if (vm === undefined) a.memo.set("areas", (vm = a.tree.openVmalloc(a.uma, { bytes: ADDRESSES, warnBytes: 0 })));
  return vm;
}

/** Writes to an area: bytes in a row, and numbers, also across the end of a page. */
function write(a: Actor, p: number): void {
  const vm = areasOf(a);
  vm.fill(p, 7, 100);
  vm.copyIn(p + 10, new Uint8Array(50).fill(9));
  // From and to the memory itself.
  const { u8 } = a.uma.views;
  vm.copyIn(p + 20, u8.subarray(0, 8));
  copyHere(a, p);
  vm.setF64(p + 8, 1.5);
  vm.setU8(p + 3, 4);
  if (vm.sizeOf(p) > PAGE) vm.setF64(p + PAGE - 4, 2.5);
  if (vm.getF64(p + 8) !== 1.5) throw new Error("an area does not hold what was written there");
}

/** More addresses than there are, and more pages. */
function tooMany(a: Actor): void {
  const vm = areasOf(a);
  const extra = wordsOf(a);
  extra[OPEN] = 1;
  // All but a little: where the peer has the rest, it has to do without for a moment.
  const p = vm.alloc(ADDRESSES - PAGE, { nowait: true });
  if (p !== 0) vm.free(p);
  keep(a, p);
  vm.alloc(MEMORY_BYTES, { nowait: true });
  extra[OPEN] = 0;
}

/** A buffer from elsewhere, for a moment. */
function foreign(a: Actor): void {
  const vm = areasOf(a);
  const maps = a.tree.createIoMaps(a.uma, vm);
  const extra = wordsOf(a);
  extra[OPEN] = 1;
  const base = maps.map(new ArrayBuffer(3 * PAGE), 100, 2 * PAGE);
  if (base !== 0) maps.unmap(base);
  keep(a, base - (base % PAGE));
  extra[OPEN] = 0;
}

/** Notes an area that has been freed and is there still, for a lock was out of reach: as one that is being taken away. */
function keep(a: Actor, p: number): void {
  if (p === 0 || isGone(a, p)) return;
  const extra = wordsOf(a);
  for (let at = FIRST + PLACES; at < FIRST + PLACES + KEPT; at++) {
    const other = -(extra[at] ?? 0);
    if (other !== 0 && !isGone(a, other)) continue;
    extra[at] = -p;
    return;
  }
  throw new Error("no place for one more area");
}

function isGone(a: Actor, p: number): boolean {
  for (const { address } of areasOf(a).info()) if (address === p) return false;
  return true;
}

/** Out of an area into a page of the memory itself. */
function copyHere(a: Actor, p: number): void {
  const { heap, floor } = a.uma.core;
  const page = heap.alloc(1, floor.me, 0);
  if (page <= 0) return;
  areasOf(a).copyOut(p, a.uma.views.u8.subarray(page, page + 100));
  heap.free(page, 0);
}

function remove(a: Actor, at: number): void {
  const extra = wordsOf(a);
  const p = extra[at] ?? 0;
  if (p <= 0) return;
  extra[at] = -p;
  areasOf(a).free(p);
  // A lock may have been out of reach: then the area is there until the next call, and kept if its owner dies before that.
  if (isGone(a, p)) extra[at] = 0;
}
