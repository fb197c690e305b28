// @ts-check
/**
 * The zones of the crash runs: one of each kind, with hooks that notice when they are run out of order.
 *
 * A hooked item's words: 0 the magic that init wrote, 1 its state: 0 cached, 1 being built, 2 built, 3 being destroyed. A dtor that
 * meets anything but "built", or a ctor or fini that meets anything but "cached", counts a violation in the shared control words.
 */

export const MAGIC = 0x5ab1e;

/**
 * @param {{ defineZone: Function }} tree - the library, plain or instrumented.
 * @param {Int32Array} violations - [0] counts hooks that ran out of order.
 * @param {(name: string) => void} point - called inside the hooks: a place to be killed at.
 */
export function zoneDefinitions(tree, violations, point) {
  const { defineZone } = tree;
  const must = (/** @type {boolean} */ holds) => {
    if (!holds) Atomics.add(violations, 0, 1);
  };
  const hooks = {
    /** @param {number} item @param {{ i32: Int32Array }} v */
    init(item, v) {
      v.i32[item >> 2] = 0;
      point("init");
      v.i32[(item >> 2) + 1] = 0;
      v.i32[item >> 2] = MAGIC;
    },
    /** @param {number} item @param {unknown} _arg @param {{ i32: Int32Array }} v */
    ctor(item, _arg, v) {
      must(v.i32[item >> 2] === MAGIC && v.i32[(item >> 2) + 1] === 0);
      v.i32[(item >> 2) + 1] = 1;
      try {
        point("ctor");
      } catch (error) {
        // A ctor that throws refuses the item, which is as it was before.
        v.i32[(item >> 2) + 1] = 0;
        throw error;
      }
      v.i32[(item >> 2) + 1] = 2;
    },
    /** @param {number} item @param {unknown} _arg @param {{ i32: Int32Array }} v */
    dtor(item, _arg, v) {
      must(v.i32[item >> 2] === MAGIC && v.i32[(item >> 2) + 1] === 2);
      v.i32[(item >> 2) + 1] = 3;
      try {
        point("dtor");
      } finally {
        // The item is freed even if dtor throws.
        v.i32[(item >> 2) + 1] = 0;
      }
    },
    /** @param {number} item @param {{ i32: Int32Array }} v */
    fini(item, v) {
      must(v.i32[item >> 2] === MAGIC && v.i32[(item >> 2) + 1] === 0);
      point("fini");
      v.i32[item >> 2] = 0;
    },
  };
  return [
    defineZone("plain", { size: 64, bucket: 6 }),
    defineZone("freed on death", { size: 100, bucket: 4, onDeath: "free", ...hooks }),
    defineZone("kept with hooks", { size: 200, bucket: 3, ...hooks }),
    defineZone("no buckets", { size: 256, bucket: 0 }),
    defineZone("larger than a page", { size: 6000, bucket: 2, onDeath: "free", ...hooks }),
    defineZone("one a slab", { size: 9000, bucket: 1, zinit: true }),
    defineZone("limited", { size: 48, bucket: 5, limit: 80, zero: true }),
    defineZone("refusing", {
      size: 72,
      bucket: 3,
      onDeath: "free",
      ctor: (/** @type {number} */ _item, /** @type {unknown} */ arg) => arg !== "refuse",
    }),
    defineZone("unchecked", { size: 64, bucket: 4, checks: false }),
    defineZone("with sites", { size: 40, bucket: 3, sites: { sample: 3 } }),
  ];
}

/** Kill points inside the hooks: numbered after those of the instrumented tree. */
export const HOOK_POINTS = ["init", "ctor", "dtor", "fini"];
