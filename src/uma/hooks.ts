/**
 * The four hooks of a zone, and what they are handed.
 *
 * `init` runs once for each item when its slab is born, `fini` when the slab dies; `ctor` on every allocation, `dtor` on every
 * free. `init` sets up what a freed item keeps (FreeBSD: the state in which it is cached), `ctor` what each use needs afresh.
 *
 * Contract: hooks run with no lock held and no transaction open. A `ctor` or `init` that returns false or throws refuses: every
 * count stays as it was. They may use other zones; only `ctor` and `dtor` may use their own (an init, fini or import that
 * allocates from its own zone is told so). They run in whichever thread allocates, frees or reclaims, so they may touch nothing
 * but the item, shared memory, and what every thread has.
 */

/** Views of the memory, for hooks and for whoever works on items by offset. Item addresses are byte addresses. */
export interface Views {
  readonly buffer: SharedArrayBuffer | ArrayBuffer;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
}

/** @returns false to refuse the item; anything else accepts it. */
export type Ctor = (item: number, arg: unknown, views: Views) => boolean | void;
export type Dtor = (item: number, arg: unknown, views: Views) => void;
/** @returns false to refuse the item; anything else accepts it. */
export type Init = (item: number, views: Views) => boolean | void;
export type Fini = (item: number, views: Views) => void;

export interface Hooks {
  readonly ctor: Ctor | null;
  readonly dtor: Dtor | null;
  readonly init: Init | null;
  readonly fini: Fini | null;
}

/** Bits in a zone's record: which hooks its definition has. All openers must agree. */
export const HOOK_CTOR = 0x1;
export const HOOK_DTOR = 0x2;
export const HOOK_INIT = 0x4;
export const HOOK_FINI = 0x8;
export const HOOK_PAGES = 0x10;
export const HOOK_ZONE_INIT = 0x20;
export const HOOK_ZONE_FINI = 0x40;
/** A cache zone: items come by import and go by release. */
export const HOOK_ORIGIN = 0x80;
/** Any of these: items pass a gate between the zone's caches and where they come from. */
export const HOOK_GATE: number = HOOK_ZONE_INIT | HOOK_ZONE_FINI | HOOK_ORIGIN;

export function makeViews(buffer: SharedArrayBuffer | ArrayBuffer): Views {
  return {
    buffer,
    u8: new Uint8Array(buffer),
    i8: new Int8Array(buffer),
    u16: new Uint16Array(buffer, 0, buffer.byteLength >>> 1),
    i16: new Int16Array(buffer, 0, buffer.byteLength >>> 1),
    u32: new Uint32Array(buffer, 0, buffer.byteLength >>> 2),
    i32: new Int32Array(buffer, 0, buffer.byteLength >>> 2),
    f32: new Float32Array(buffer, 0, buffer.byteLength >>> 2),
    f64: new Float64Array(buffer, 0, buffer.byteLength >>> 3),
  };
}
