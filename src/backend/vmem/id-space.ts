/**
 * Identifier spaces: small integers to name things by, on an arena of identifiers.
 *
 * `alloc` goes upwards and begins anew only at the end, so an identifier that was freed is not given out again soon; `allocFirst`
 * gives the lowest there is (exactly, unlike illumos's, which promises only to keep them dense). Running out is ERR_VMEM_NOID.
 *
 * Not done: illumos's shift by one. 0 is an identifier here.
 */
import { UmaError, optionError } from "../memory/errors.ts";
import type { Arena, AsyncOptions, WaitOptions } from "./arena.ts";

export class IdSpace {
  /** The arena beneath, for statistics, walks and dumps. */
  readonly arena: Arena;

  /**
   * @param arena - of identifiers, with a quantum of 1.
   * @throws UmaError ERR_UMA_OPTION when it is another.
   * @source illumos id_space.c id_space_create
   */
  constructor(arena: Arena) {
    if (!arena.identifiers || arena.quantum !== 1) throw optionError("arena", arena, "one of identifiers, with a quantum of 1", arena.name);
    this.arena = arena;
  }

  /** Adds the identifiers [low, high). @throws UmaError ERR_VMEM_SPAN when it has some of them. */
  extend(low: number, high: number): void {
    this.arena.add(low, high - low);
  }

  /** The next identifier. @throws UmaError ERR_VMEM_NOID. */
  alloc(): number {
    return this.arena.alloc(1, NEXT);
  }

  /** As `alloc`; −1 when there is none. Never blocks. */
  tryAlloc(): number {
    return this.arena.tryAlloc(1, NEXT);
  }

  /** As `alloc`, waiting for one to be freed. */
  allocWait(options: WaitOptions = {}): number {
    return this.arena.allocWait(1, { ...NEXT, ...options });
  }

  allocAsync(options: AsyncOptions = {}): Promise<number> {
    return this.arena.allocAsync(1, { ...NEXT, ...options });
  }

  /** The lowest identifier that is free. @throws UmaError ERR_VMEM_NOID. @source illumos id_space.c id_allocff */
  allocFirst(): number {
    return this.arena.alloc(1, FIRST);
  }

  /** As `allocFirst`, waiting for one to be freed. */
  allocFirstWait(options: WaitOptions = {}): number {
    return this.arena.allocWait(1, { ...FIRST, ...options });
  }

  tryAllocFirst(): number {
    return this.arena.tryAlloc(1, FIRST);
  }

  /** This very identifier; −1 when it is taken, or not in the space. @source illumos id_space.c id_alloc_specific_nosleep */
  tryAllocSpecific(id: number): number {
    if (!Number.isSafeInteger(id) || id < 0) return -1;
    return this.arena.tryXalloc(1, { min: id, max: id + 1 });
  }

  /** Gives an identifier back. @throws UmaCorruptionError ERR_VMEM_UNKNOWN when it is not allocated. */
  free(id: number): void {
    try {
      this.arena.free(id, 1);
    } catch (thrown) {
      // One that was asked for by its number came from xalloc.
      if (!(thrown instanceof UmaError) || thrown.code !== "ERR_VMEM_KIND") throw thrown;
      this.arena.xfree(id, 1);
    }
  }

  /** Ends the space. @throws UmaError ERR_VMEM_LEAK when identifiers are allocated, unless forced. */
  destroy(options: { readonly force?: boolean } = {}): number {
    return this.arena.destroy(options).size;
  }
}

const NEXT = { policy: "next" } as const;
const FIRST = { policy: "first" } as const;
