/**
 * Debug zones: misuse found where it shows, for the price of touching every byte of an item at every alloc and free.
 *
 * Behind the fields lie two hidden words. The **canary** is checked and renewed at every alloc and free: it is gone when somebody
 * wrote past the end of the item. The **seal** is a checksum over the free item, checked when it is allocated again: it is broken
 * when somebody wrote to the item after its free. Items of zones without init are filled with poison (0xDEADBEEF words) at their
 * free, so that late reads show, too; with init they must keep their state, and only the seal watches over them.
 *
 * All of it hangs on the hooks: other zones do not know of it. What is found is an UmaCorruptionError ERR_UMA_CLOBBERED; it is
 * reported once, the item is put in order again, and an allocation that met it has failed.
 */
import { UmaCorruptionError, UmaError } from "../../backend/memory/errors.ts";
import { KEG_RSIZE, MARK_FREE, SLAB_START } from "../../backend/memory/layout.ts";
import type { Core } from "../core.ts";
import type { Hooks, Views } from "../hooks.ts";
import type { ItemZone } from "../items.ts";

/** Bytes of the hidden words. */
export const DEBUG_BYTES = 8;
const POISON = 0xdeadbeef | 0;
const CANARY = 0x5afe0000;

export interface DebugZone extends ItemZone {
  readonly size: number;
}

export interface Debugging {
  /** The hooks with the checks in them. */
  wrap(hooks: Hooks): Hooks;
  /** Throws when `item` is no allocated item of the zone. */
  readonly live: (item: number) => void;
  /** The same for an address inside an item. */
  readonly livePart: (address: number) => void;
}

/**
 * @param offset - of the hidden words behind the item's first byte, bytes; a multiple of 4.
 * @param zero - items are zeroed at every alloc: done here, behind the check of the seal.
 */
export function createDebugging(core: Core, z: DebugZone, offset: number, zero: boolean): Debugging {
  const { u8, i32 } = core.floor.cells;
  const { items } = core;
  const words = offset >> 2;

  function sum(item: number): number {
    let total = 0x811c9dc5 | 0;
    const first = item >> 2;
    for (let word = first; word < first + words; word++) total = Math.imul(total ^ i32[word], 0x01000193);
    return total;
  }

  /** Puts a free item in order. */
  function seal(item: number, poison: boolean): void {
    const first = item >> 2;
    if (poison) i32.fill(POISON, first, first + words);
    i32[first + words] = CANARY ^ item;
    i32[first + words + 1] = sum(item);
  }

  function overrun(item: number): UmaCorruptionError | null {
    if (i32[(item >> 2) + words] === (CANARY ^ item)) return null;
    return clobbered(item, "somebody wrote past its end");
  }

  function checkFree(item: number): UmaCorruptionError | null {
    const past = overrun(item);
    if (past !== null || sum(item) === i32[(item >> 2) + words + 1]) return past;
    return clobbered(item, "somebody wrote to it while it was free");
  }

  function clobbered(item: number, how: string): UmaCorruptionError {
    return new UmaCorruptionError("ERR_UMA_CLOBBERED", `the item ${item} of zone "${z.name}" is clobbered: ${how}`, {
      zone: z.name,
      value: item,
    });
  }

  function wrap(hooks: Hooks): Hooks {
    const { ctor, dtor, init, fini } = hooks;
    const poison = init === null;
    return {
      ctor: (item: number, arg: unknown, views: Views): boolean | void => {
        const found = checkFree(item);
        if (found !== null) {
          seal(item, poison);
          throw found;
        }
        if (zero) u8.fill(0, item, item + z.size);
        if (ctor === null) return true;
        let accepted: boolean | void = false;
        try {
          accepted = ctor(item, arg, views);
        } finally {
          if (accepted === false) seal(item, poison);
        }
        return accepted;
      },
      dtor: (item: number, arg: unknown, views: Views): void => {
        const found = overrun(item);
        try {
          dtor?.(item, arg, views);
        } finally {
          seal(item, poison);
        }
        if (found !== null) throw found;
      },
      init: (item: number, views: Views): boolean | void => {
        const accepted = init === null ? true : init(item, views);
        seal(item, poison);
        return accepted;
      },
      fini: (item: number, views: Views): void => {
        const found = checkFree(item);
        fini?.(item, views);
        if (found !== null) throw found;
      },
    };
  }

  function live(item: number): void {
    if (u8[items.check(z, item)] !== MARK_FREE) return;
    throw new UmaError("ERR_UMA_FREED", `the item ${item} of zone "${z.name}" is free; a view still stands on it`, {
      zone: z.name,
      value: item,
    });
  }

  function livePart(address: number): void {
    const slab = items.slabAt(address);
    const within = slab === 0 ? 0 : (address - i32[slab + SLAB_START]) % i32[z.keg + KEG_RSIZE];
    live(address - within);
  }

  return { wrap, live, livePart };
}
