/**
 * Definitions: what a zone is, as a pure value in a module that every thread imports.
 *
 * Functions cannot be shared between threads, so each thread brings the definition along and `uma.open` checks that it agrees
 * with the one the zone was made from: name, size, alignment, options and which hooks there are.
 */
import { optionError } from "../backend/memory/errors.ts";
import { MAX_MEMORY_BYTES } from "../backend/memory/buffer.ts";
import { BUCKET_MAX_ITEMS, PAGE_BYTES, SITE_ITEM_WORDS, ZONE_NAME_BYTES } from "../backend/memory/layout.ts";
import type { AllocPages, FreePages } from "../backend/supplier/page-supplier.ts";
import type { Core } from "./core.ts";
import type { Origin } from "./gate.ts";
import {
  type Ctor,
  type Dtor,
  type Fini,
  HOOK_CTOR,
  HOOK_DTOR,
  HOOK_FINI,
  HOOK_INIT,
  HOOK_ORIGIN,
  HOOK_PAGES,
  HOOK_ZONE_FINI,
  HOOK_ZONE_INIT,
  type Init,
} from "./hooks.ts";
import type { Zone, ZonePlace } from "./zone.ts";

/** What happens to the items that a dead worker had allocated and not freed. */
export type DeathPolicy = "keep" | "free";

export interface ZoneOptions {
  /** Item size, bytes. */
  readonly size: number;
  /** Alignment of items, bytes: a power of two up to a page. Default 16, which is also the least. */
  readonly align?: number;
  readonly ctor?: Ctor;
  readonly dtor?: Dtor;
  readonly init?: Init;
  readonly fini?: Fini;
  /** When an item comes from the slabs into this zone's caches (zinit of uma(9)): `init` for what only this zone needs. Gets the address. */
  readonly zoneInit?: Init;
  /** When an item goes from this zone's caches back to the slabs (zfini). */
  readonly zoneFini?: Fini;
  /** Other zones may be opened on this one's slabs (see `defineSecondary`): takes a byte an item. Not with `checks: false`, `handles` or `debug`. */
  readonly secondaries?: boolean;
  /** Items that may be out of the slabs (allocated or in buckets) at a time; 0 = no limit. */
  readonly limit?: number;
  /** Zero each item at every allocation (M_ZERO). */
  readonly zero?: boolean;
  /** Zero each item when its slab is born (UMA_ZONE_ZINIT). */
  readonly zinit?: boolean;
  /**
   * Refuse wrong and double frees, and remember who owns each item (default). With false, a free is believed, and what a dead
   * worker held stays lost until the zone is destroyed.
   */
  readonly checks?: boolean;
  /** Items a bucket at most; 0: no buckets at all (UMA_ZONE_NOBUCKET). Default by item size, growing under contention. */
  readonly bucket?: number;
  /** Items that the depot may hold at most; what is more goes back to the slabs at once. 0 = no bound (default). */
  readonly maxCache?: number;
  /** Never give slabs back (UMA_ZONE_NOFREE). */
  readonly nofree?: boolean;
  /** Left alone by ticks and by reclaims of the whole memory (UMA_ZONE_UNMANAGED). */
  readonly unmanaged?: boolean;
  /** Buckets begin as large as they may get (UMA_ZONE_MAXBUCKET). */
  readonly maxBucket?: boolean;
  /**
   * Freed items are not reused while a reader that could see them is inside its section (UMA_ZONE_SMR): `allocSmr` and `freeSmr`
   * only, see `uma.smr`. Takes no `zero`, no `checks: false`, and keeps what dead workers leave.
   */
  readonly smr?: boolean;
  /** The allocator never writes to the items, whatever happens to their owners (UMA_ZONE_NOTOUCH). */
  readonly notouch?: boolean;
  /** What happens to a dead worker's items: "keep" (reported, freed by whoever has them; default) or "free" (through dtor). */
  readonly onDeath?: DeathPolicy;
  /**
   * Remember for each item where it was allocated, by whom and when, for `uma.sites(zone)`: 16 bytes an item, and some microseconds an
   * allocation. With `sample: n` the place of every n-th allocation of a thread only. Not with `checks: false`, `smr`, `notouch` or `secondaries`.
   */
  readonly sites?: boolean | { readonly sample: number };
  /** A page supplier of one's own. */
  readonly allocPages?: AllocPages;
  readonly freePages?: FreePages;
}

/**
 * A checked definition; make one with {@link defineZone}.
 * @typeParam Z - what `uma.open` makes of it.
 */
export interface ZoneDefinition<Z = Zone> {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  /** Bytes behind each item that are the library's own (a generation, a canary): no zeroing ever touches them. */
  readonly hidden: number;
  /** Of how many allocations of a thread one has its call site found out; 0 = the zone keeps no call sites. */
  readonly sample: number;
  /** The generation that the hot path counts up at a free, where dtor would do nothing else; null: it does not. */
  readonly counting: CountingPlace | null;
  /** What a definition brings that knows more of its items than their size; null for one that does not. */
  readonly face: Face<Z> | null;
  readonly ctor: Ctor | null;
  readonly dtor: Dtor | null;
  readonly init: Init | null;
  readonly fini: Fini | null;
  readonly zoneInit: Init | null;
  readonly zoneFini: Fini | null;
  /** Secondary zones: the zone on whose slabs its items lie. */
  readonly primary: ZoneDefinition<unknown> | null;
  /** Cache zones: makes, for each attachment, what items come from and go to. */
  readonly origin: ((core: Core) => Origin) | null;
  readonly limit: number;
  readonly flags: number;
  readonly bucketMax: number;
  readonly maxCache: number;
  readonly allocPages: AllocPages | null;
  readonly freePages: FreePages | null;
}

/** Where items have a generation word, and where its counting leaves the hot path at first (see uma/typed/handles.ts). */
export interface CountingPlace {
  /** Bytes from the item's first; a multiple of 4. */
  readonly at: number;
  readonly end: number;
}

/**
 * The face of a zone: what a definition adds to the plain zone when a thread opens it. Hooks that work on fields need the views of
 * one memory, and a thread may be attached to several; so such a definition is bound to each attachment anew.
 */
export interface Face<Z> {
  /** What all openers must agree on beyond sizes and hooks; never 0. */
  readonly hash: number;
  bindTo(definition: ZoneDefinition, core: Core, place: ZonePlace): BoundFace<Z>;
}

export interface BoundFace<Z> {
  /** The definition with hooks of this attachment; nothing else of it may differ. */
  readonly definition: ZoneDefinition;
  /** Gives the zone its further methods: it stays the same object, so that its hot path costs what it did. */
  dress(zone: Zone): Z;
}

/** Flags as a zone's record holds them. */
export const FLAG_ZERO = 0x1;
export const FLAG_ZINIT = 0x2;
export const FLAG_UNCHECKED = 0x4;
export const FLAG_NOFREE = 0x8;
export const FLAG_FREE_ON_DEATH = 0x10;
export const FLAG_NOBUCKET = 0x20;
export const FLAG_UNMANAGED = 0x40;
export const FLAG_MAXBUCKET = 0x80;
export const FLAG_NOTOUCH = 0x100;
export const FLAG_SMR = 0x200;
export const FLAG_SITES = 0x400;
/** Items come by import and go by release: there are no slabs. */
export const FLAG_CACHE = 0x800;
/** The keg has a zone byte for each item. */
export const FLAG_SECONDARIES = 0x1000;
/** The keg is another zone's. */
export const FLAG_SECONDARY = 0x2000;

/** Largest item, bytes. */
const MAX_SIZE = MAX_MEMORY_BYTES / 2;

/**
 * Defines a zone.
 * @param name - 1 … 128 bytes of UTF-8; unique in a memory.
 * @returns a frozen value to be exported from a module that every thread imports.
 * @throws UmaError ERR_UMA_OPTION naming the option and what is allowed.
 * @source FreeBSD sys/vm/uma.h uma_zcreate
 */
export function defineZone(name: string, options: ZoneOptions): ZoneDefinition {
  checkName(name);
  const fail = (option: string, given: unknown, allowed: string): never => {
    throw optionError(option, given, allowed, name);
  };
  if (options === null || typeof options !== "object") fail("options", options, "an object with at least { size }");
  const { size, align = 16, limit = 0, bucket, maxCache = 0 } = options;
  if (!Number.isInteger(size) || size < 1 || size > MAX_SIZE) fail("size", size, `an integer from 1 to ${MAX_SIZE} (bytes)`);
  if (!Number.isInteger(align) || align < 1 || align > PAGE_BYTES || (align & (align - 1)) !== 0) {
    fail("align", align, `a power of two from 1 to ${PAGE_BYTES} (bytes)`);
  }
  if (!Number.isInteger(limit) || limit < 0 || limit > 0x7fffffff) fail("limit", limit, "an integer from 0 (no limit) to 2147483647");
  if (bucket !== undefined && (!Number.isInteger(bucket) || bucket < 0 || bucket > BUCKET_MAX_ITEMS)) {
    fail("bucket", bucket, `an integer from 0 (no buckets) to ${BUCKET_MAX_ITEMS}`);
  }
  if (!Number.isInteger(maxCache) || maxCache < 0 || maxCache > 0x7fffffff) {
    fail("maxCache", maxCache, "an integer from 0 (no bound) to 2147483647");
  }
  for (const hook of ["ctor", "dtor", "init", "fini", "zoneInit", "zoneFini", "allocPages", "freePages"] as const) {
    if (options[hook] !== undefined && typeof options[hook] !== "function") fail(hook, options[hook], "a function");
  }
  for (const flag of ["zero", "zinit", "checks", "nofree", "unmanaged", "maxBucket", "notouch", "smr", "secondaries"] as const) {
    if (options[flag] !== undefined && typeof options[flag] !== "boolean") fail(flag, options[flag], "true or false");
  }
  if (options.onDeath !== undefined && options.onDeath !== "keep" && options.onDeath !== "free") {
    fail("onDeath", options.onDeath, '"keep" or "free"');
  }
  if ((options.allocPages === undefined) !== (options.freePages === undefined)) {
    fail("allocPages", options.allocPages, "given together with freePages, or neither");
  }
  if (options.smr === true) {
    if (options.zero === true) fail("zero", true, "false: readers of an SMR zone may still look at what would be zeroed");
    if (options.checks === false) fail("checks", false, "true in an SMR zone");
    if (options.onDeath === "free") fail("onDeath", "free", '"keep": readers may still look at what a dead worker had');
  }
  if (options.checks === false && options.secondaries === true)
    fail("secondaries", true, "false: with checks off nobody knows which zone an item is of");
  if (options.checks === false && options.onDeath === "free")
    fail("onDeath", "free", '"keep": with checks off nobody knows what was whose');
  const sample = sampleOf(options, fail);
  return Object.freeze({
    name,
    size,
    align,
    hidden: sample === 0 ? 0 : SITE_ITEM_WORDS * 4,
    sample,
    counting: null,
    face: null,
    ctor: options.ctor ?? null,
    dtor: options.dtor ?? null,
    init: options.init ?? null,
    fini: options.fini ?? null,
    zoneInit: options.zoneInit ?? null,
    zoneFini: options.zoneFini ?? null,
    primary: null,
    origin: null,
    limit,
    flags: flagsOf(options),
    bucketMax: bucket ?? -1,
    maxCache,
    allocPages: options.allocPages ?? null,
    freePages: options.freePages ?? null,
  });
}

/** Checks what was handed to `open`: a definition, however it came about, with nothing in it that a layout cannot be made of. */
export function checkDefinition(value: unknown): asserts value is ZoneDefinition {
  const d = value as Partial<ZoneDefinition> | null | undefined;
  if (typeof d !== "object" || d === null || typeof d.name !== "string") throw notDefined(value);
  const { size, align, limit, flags, bucketMax, maxCache } = d;
  const numbers = [size, align, limit, flags, bucketMax, maxCache];
  if (!numbers.every(Number.isInteger) || d.ctor === undefined || d.allocPages === undefined) throw notDefined(d.name);
}

function notDefined(value: unknown): Error {
  return optionError("definition", value, "what defineZone returned");
}

/** One in how many call sites is to be found out; 0: the zone keeps none. */
function sampleOf(
  { sites, checks, smr, notouch, secondaries }: ZoneOptions,
  fail: (option: string, given: unknown, allowed: string) => never,
): number {
  if (sites === undefined || sites === false) return 0;
  const sample = sites === true ? 1 : sites === null || typeof sites !== "object" ? 0 : sites.sample;
  if (!Number.isInteger(sample) || sample < 1) fail("sites", sites, "true, false or { sample: an integer from 1 on }");
  if (checks === false || smr === true || notouch === true || secondaries === true)
    fail("sites", sites, "not with checks: false, smr, notouch or secondaries");
  return sample;
}

function checkName(name: unknown): asserts name is string {
  const bytes = typeof name === "string" ? new TextEncoder().encode(name).length : 0;
  if (bytes < 1 || bytes > ZONE_NAME_BYTES) throw optionError("name", name, `a string of 1 to ${ZONE_NAME_BYTES} bytes of UTF-8`);
}

function flagsOf(options: ZoneOptions): number {
  return (
    (options.zero === true ? FLAG_ZERO : 0) |
    (options.zinit === true ? FLAG_ZINIT : 0) |
    (options.checks === false ? FLAG_UNCHECKED : 0) |
    (options.nofree === true ? FLAG_NOFREE : 0) |
    (options.onDeath === "free" ? FLAG_FREE_ON_DEATH : 0) |
    (options.bucket === 0 ? FLAG_NOBUCKET : 0) |
    (options.unmanaged === true ? FLAG_UNMANAGED : 0) |
    (options.maxBucket === true ? FLAG_MAXBUCKET : 0) |
    (options.notouch === true ? FLAG_NOTOUCH : 0) |
    (options.smr === true ? FLAG_SMR : 0) |
    (options.sites === undefined || options.sites === false ? 0 : FLAG_SITES) |
    (options.secondaries === true ? FLAG_SECONDARIES : 0)
  );
}

/** Which hooks a definition has, as the record holds it. */
export function hookBits(d: ZoneDefinition): number {
  return (
    (d.ctor === null ? 0 : HOOK_CTOR) |
    (d.dtor === null ? 0 : HOOK_DTOR) |
    (d.init === null ? 0 : HOOK_INIT) |
    (d.fini === null ? 0 : HOOK_FINI) |
    (d.allocPages === null ? 0 : HOOK_PAGES) |
    (d.zoneInit === null ? 0 : HOOK_ZONE_INIT) |
    (d.zoneFini === null ? 0 : HOOK_ZONE_FINI) |
    (d.origin === null ? 0 : HOOK_ORIGIN)
  );
}

/** Bucket capacity a zone starts with, and how far it may grow: FreeBSD's table by item size, cut to a bucket's 248. */
export function bucketRange(size: number, max: number): { start: number; max: number } {
  const most = max >= 0 ? max : BUCKET_MAX_ITEMS;
  const start =
    size <= 64
      ? BUCKET_MAX_ITEMS
      : size <= 128
        ? 126
        : size <= 256
          ? 62
          : size <= 512
            ? 30
            : size <= 1024
              ? 16
              : size <= 2048
                ? 8
                : size <= 4096
                  ? 4
                  : 1;
  return { start: Math.min(start, most), max: most };
}

/** Buckets of one item that lie in a depot at most: each takes a window of a kilobyte, which only ever is a bucket again. */
const MOST_ONE_ITEM_BUCKETS = 32;

/** Items in the depot at most, to begin with, for items of `size` bytes; 0 = no bound. */
export function depotBound(size: number, maxCache: number): number {
  return maxCache !== 0 || size <= PAGE_BYTES ? maxCache : MOST_ONE_ITEM_BUCKETS;
}
