/**
 * Hooks that notice when they are run out of order.
 *
 * A hooked item's words: 0 the magic that init wrote, 1 its state: 0 cached, 1 being built, 2 built, 3 being destroyed. A dtor that
 * meets anything but "built", or a ctor or fini that meets anything but "cached", counts a violation.
 */
import type * as Library from "../../src/index.ts";
import type { Makers } from "./theme.ts";

const MAGIC = 0x5ab1e;

/** Kill points inside the hooks: numbered after those of the instrumented tree. */
export const HOOK_POINTS: readonly string[] = ["init", "ctor", "dtor", "fini"];

export interface WatchedHooks {
  readonly init: (item: number, v: Library.Views) => void;
  readonly ctor: (item: number, arg: unknown, v: Library.Views) => void;
  readonly dtor: (item: number, arg: unknown, v: Library.Views) => void;
  readonly fini: (item: number, v: Library.Views) => void;
}

export function watchedHooks({ violations, point }: Pick<Makers, "violations" | "point">): WatchedHooks {
  const must = (holds: boolean): void => {
    if (!holds) Atomics.add(violations, 0, 1);
  };
  return {
    init(item, v) {
      v.i32[item >> 2] = 0;
      point("init");
      v.i32[(item >> 2) + 1] = 0;
      v.i32[item >> 2] = MAGIC;
    },
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
    fini(item, v) {
      must(v.i32[item >> 2] === MAGIC && v.i32[(item >> 2) + 1] === 0);
      point("fini");
      v.i32[item >> 2] = 0;
    },
  };
}
