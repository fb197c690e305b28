/**
 * Where a keg's pages come from: the seam between zones and everything below them (allocf and freef of UMA).
 *
 * A zone asks for bytes and gets an address and flags; the flags come back with the pages when they are given up, so that a
 * supplier with several sources knows which one they were from. Suppliers run with no lock held and no transaction open.
 */

/** Flags of a slab's pages, set by `allocPages` and seen again by `freePages` (uma.h, UMA_SLAB_*). */
export const SLAB_BOOT = 0x01;
export const SLAB_KMEM = 0x02;
export const SLAB_KMAP = 0x04;
export const SLAB_PRIV = 0x08;
export const SLAB_OFFP = 0x10;
export const SLAB_MALLOC = 0x20;
/** The page stands for a run of an arena's integers (run-pages.ts). */
export const SLAB_RUN = 0x100;
/** Flags that a user's supplier may set beside SLAB_PRIV, which it always has. */
export const SLAB_USER_MASK = 0xff;

/** A request for pages, as a user's `allocPages` sees it. */
export interface PageRequest {
  /** Zone that is growing. */
  readonly zone: string;
  /** Bytes asked for: a multiple of the page. */
  readonly bytes: number;
  /** Whether the supplier may wait for them. */
  readonly mayWait: boolean;
  /** To be set by the supplier; `freePages` gets it back. */
  flags: number;
}

/** A user's allocf. @returns byte address of the pages (page-aligned, inside the memory), 0 = none. */
export type AllocPages = (request: PageRequest) => number;
/** A user's freef. */
export type FreePages = (address: number, bytes: number, flags: number, zone: string) => void;

/** Answers that are no address. */
export const NO_PAGES = 0;
export const PAGES_BUSY = -1;

/** What a keg holds. */
export interface PageSupplier {
  /** Whether a worker must have opened the zone to give its pages back (the functions are its user's). */
  readonly userSupplied: boolean;
  /**
   * Takes pages and writes their address into the intent frame.
   * @param frame - the caller's intent frame; PAGES is set, EXTENT and FLAGS are written here.
   * @returns the byte address, NO_PAGES or PAGES_BUSY.
   */
  alloc(zone: string, pages: number, frame: number, mayWait: boolean): number;
  /**
   * Gives back the pages of an intent frame and clears its EXTENT (also when a user's freef throws).
   * @returns false when it must be tried again later.
   */
  free(zone: string, frame: number): boolean;
}
