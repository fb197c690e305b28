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
const PAGE = 4096;

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
    const words = Array.from(extra.subarray(FIRST, FIRST + PLACES));
    for (const p of words) if (p > 0 && !have.has(p)) say(`lost: the area at ${p} was the victim's and is not mapped`);
    const strange = [...have].filter((p) => !words.includes(p) && !words.includes(-p)).length;
    if (strange > (extra[OPEN] ?? 0)) say(`lost: ${strange} areas are mapped that nobody knows`);
  },

  settle(parent, say) {
    const vm = areasOf(parent);
    for (const { address } of Array.from(vm.info())) vm.free(address);
    const { areas, bytes, used } = vm.stats();
    if (areas + bytes + used !== 0) say(`lost: ${areas} mapped areas are left, ${bytes} bytes`);
  },
};

function wordsOf({ ledger }: Actor): Float64Array {
  const { buffer, byteOffset } = ledger.extra;
  return new Float64Array(buffer, (byteOffset + 7) & ~7, FIRST + PLACES);
}

function areasOf(a: Actor): Library.Vmalloc {
  let vm = a.memo.get("areas") as Library.Vmalloc | undefined;
  if (vm === undefined) a.memo.set("areas", (vm = a.tree.openVmalloc(a.uma, { bytes: 2 ** 22, warnBytes: 0 })));
  return vm;
}

/** Writes to an area: bytes in a row, and numbers, also across the end of a page. */
function write(a: Actor, p: number): void {
  const vm = areasOf(a);
  vm.fill(p, 7, 100);
  vm.copyIn(p + 10, new Uint8Array(50).fill(9));
  vm.setF64(p + 8, 1.5);
  vm.setU8(p + 3, 4);
  if (vm.sizeOf(p) > PAGE) vm.setF64(p + PAGE - 4, 2.5);
  if (vm.getF64(p + 8) !== 1.5) throw new Error("an area does not hold what was written there");
}

function remove(a: Actor, at: number): void {
  const extra = wordsOf(a);
  const p = extra[at] ?? 0;
  if (p <= 0) return;
  extra[at] = -p;
  areasOf(a).free(p);
  extra[at] = 0;
}
