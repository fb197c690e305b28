/**
 * The layout of a memory: every offset that more than one worker must know, in one place.
 *
 * Units: a name ending in `_BYTES` counts bytes; every other offset in this file counts 32-bit words from the start of its
 * record. Records of the allocator itself are referred to by the index of their first word (`w`), items and pages by byte address.
 *
 * ```
 * base ─► ┌──────────────────────────────┐
 *         │ superblock            2 pages │ identity, control lock, pools, the heap arena's control block, boot tags
 *         ├──────────────────────────────┤
 *         │ zone directory        1 page  │ 1024 words: a zone id → the zone's record
 *         ├──────────────────────────────┤
 *         │ worker slots   SLOT_BYTES each│ slot 0 is nobody; 1 … workers
 *         ├──────────────────────────────┤
 *         │ page table  4 words a page    │ {keg tag, mark delta, slab, spare} of every page of the buffer from base on
 *         ├──────────────────────────────┤ ◄─ heap start
 *         │ heap: pages, handed out by    │ slabs, slab headers, buckets, zone and keg records, cache lines, boundary tags,
 *         │ the heap arena                │ large blocks
 *         └──────────────────────────────┘ ◄─ base + bytes
 * ```
 * Memory that once was a record of some type stays of that type for ever (headers, buckets, tags, zone and keg records): a late
 * reader may find an outdated record there, never somebody's data.
 *
 * Modules that work on shared words take what they need of this as constants of their own, `const { … } = layout`: an imported
 * constant is read from its module at each use.
 */

/** A page, bytes. Fixed: FreeBSD's and illumos's smallest, and the granularity at which systems commit memory. */
export const PAGE_BYTES = 4096;
export const PAGE_SHIFT = 12;

/** `"zall"` read as a little-endian word. */
export const MAGIC = 0x6c6c617a;
/** Raised whenever an offset or a meaning in this file changes. */
export const LAYOUT_VERSION = 1;
/** Stored as a word, compared byte by byte: tells a memory written by a machine of the other byte order. */
export const BYTE_ORDER_MARK = 0x04030201;
/** Features a memory may carry; an attaching worker refuses a memory with a bit it does not know. */
export const FEATURES_KNOWN = 0;

/* ── Superblock ─────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** Identity: written once by the creator before READY; read by everybody who attaches. */
export const SB_MAGIC = 0;
export const SB_VERSION = 1;
export const SB_BYTE_ORDER = 2;
export const SB_FEATURES = 3;
/** Random, so that two memories are told apart in one thread: low and high word. */
export const SB_ID_LOW = 4;
export const SB_ID_HIGH = 5;
/** Length of the buffer in bytes, and where in it this memory begins. Lengths up to 2 GiB: 2 GiB itself reads as −2³¹. */
export const SB_BYTES = 6;
export const SB_BASE = 7;
/** Highest worker slot. */
export const SB_WORKERS = 8;
/** Word indices of the regions below. */
export const SB_SLOTS = 9;
export const SB_PAGE_TABLE = 10;
/** Byte addresses: the heap is [HEAP_START, HEAP_END). */
export const SB_HEAP_START = 11;
export const SB_HEAP_END = 12;
export const SB_ZONE_DIRECTORY = 13;
/** 1 once the creator has finished; stored last. */
export const SB_READY = 14;

/** Control lock: guards the zone directory, zone and keg records' birth and death, the slot search. One line of its own. */
export const SB_CONTROL_LOCK = 16;
/** Zones ever made; a new zone's tag is drawn from it, so that a tag never names two zones. Under the control lock. */
export const SB_ZONE_SERIAL = 17;
/** Free zone/keg records, linked through their first word (of their type for ever). Under the control lock. */
export const SB_ZONE_FREE = 18;
export const SB_KEG_FREE = 19;
/** The page that zone/keg records are being carved from: next record and end, word indices. Under the control lock. */
export const SB_RECORD_NEXT = 20;
export const SB_RECORD_END = 21;
/** Boot pages: next and end, byte addresses; bumped, never given back. Under the control lock. */
export const SB_BOOT_NEXT = 22;
export const SB_BOOT_END = 23;
/** Records of shared arenas made by users, linked. Under the control lock. */
export const SB_ARENAS = 24;
export const SB_ARENA_FREE = 25;
/** Arenas ever made: each has a serial number of its own. Under the control lock. */
export const SB_ARENA_SERIAL = 40;
/** Highest zone id ever given: where walks over the directory end. Under the control lock; grows only. */
export const SB_ZONE_HIGH = 28;
/** Pages of the heap that became records and cache lines. Under the control lock. */
export const SB_RECORD_PAGES = 27;
/** Pages in zones at most before the low-memory callbacks are called (0: no limit). */
export const SB_PAGE_LIMIT = 26;
/** Large blocks of malloc, their pages, and how many there ever were (wraps). Under the heap arena's lock. */
export const SB_BLOCKS = 29;
export const SB_BLOCK_PAGES = 30;
export const SB_BLOCK_ALLOCS = 31;

/** Pool lock: guards the free buckets and the free slab headers. One line of its own. */
export const SB_POOL_LOCK = 32;
export const SB_BUCKET_FREE = 33;
export const SB_BUCKET_TOTAL = 35;
export const SB_BUCKET_NEXT = 36;
export const SB_BUCKET_END = 37;
/** Pages given to buckets and headers, for the statistics. */
export const SB_POOL_PAGES = 38;
/** When maintenance last ticked, and when low memory was last seen to: low 31 bits of the wall clock's milliseconds. By compare-exchange. */
export const SB_TICK = 39;
export const SB_RELIEF = 42;
/** Record of the mappings (VMAP_…), word index; 0 = nothing has ever been mapped. Under the control lock. */
export const SB_VMAP = 41;
/** A cache line that is never anybody's: always empty, always full. Zones that were closed point to it. */
export const SB_DEAD_LINE = 48;
/** Slab-header pool: per class (32-byte steps up to a page) the free list, and next and end of the page being carved. */
export const SB_HEADER_CLASSES = 64;
export const HEADER_CLASS_STEP_BYTES = 32;
export const HEADER_CLASSES: number = PAGE_BYTES / HEADER_CLASS_STEP_BYTES;
export const HEADER_CLASS_WORDS = 4;
export const HC_FREE = 0;
export const HC_NEXT = 1;
export const HC_END = 2;
export const HC_TOTAL = 3;

/** SMR: the write and the read sequence, a line each. Odd; by Atomics only. */
export const SB_SMR_WRITE = 576;
export const SB_SMR_READ = 592;
/** What they begin with. */
export const SMR_FIRST = 1;

/** Call sites: newest record (linked), where the next goes and where its page ends (word indices), how many. Under the control lock. */
export const SB_SITE_FIRST = 1000;
export const SB_SITE_NEXT = 1001;
export const SB_SITE_END = 1002;
export const SB_SITE_COUNT = 1003;
/** A call site: the one before it, bytes of UTF-8, the bytes. Never changed once linked. */
export const SITE_LINK = 0;
export const SITE_LENGTH = 1;
export const SITE_TEXT = 2;
/** Behind each item of a zone with call sites: record of the site or what there is instead, sequence, Date.now() mod 2³², worker's name. */
export const SITE_ITEM_ID = 0;
export const SITE_ITEM_SEQUENCE = 1;
export const SITE_ITEM_TIME = 2;
export const SITE_ITEM_WORKER = 3;
export const SITE_ITEM_WORDS = 4;

/** The heap arena's control block and, in the second page, the boundary tags it starts with. */
export const SB_HEAP_ARENA = 1024;
export const SB_BOOT_TAGS = 1280;
export const SB_BOOT_HASH = 1984;
export const SUPERBLOCK_BYTES: number = 2 * PAGE_BYTES;

/** Zones at most: the directory is one page. */
export const MAX_ZONES: number = PAGE_BYTES / 4;

/* ── Worker slots ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** A mark has seven bits for its owner; 127 means ORPHAN. */
export const MAX_WORKERS = 126;
export const SLOT_WORDS = 320;
export const SLOT_BYTES: number = SLOT_WORDS * 4;

/** {generation << 3 | state}; by compare-exchange only. */
export const SLOT_STATE = 0;
/** Name of the slot that issued the ticket; written while RESERVED. */
export const SLOT_ISSUER = 1;
/** Name of the worker that recovers this slot; claimed by compare-exchange from 0 or from a dead name. */
export const SLOT_REAPER = 2;
/** The lock (word index) that this worker is taking, holds, or is letting go; 0 when none. Owner only; recovery. */
export const SLOT_PENDING_LOCK = 3;
/** Entries in the journal; 0 = no transaction. Owner only; recovery. */
export const SLOT_JOURNAL_COUNT = 4;
/** What this worker sleeps on when it waits for items; changed and notified by whoever wakes it. */
export const SLOT_WAIT = 5;
/** SMR: the write sequence this reader has observed, 0 outside a section. Owner only; everybody reads. */
export const SLOT_SMR = 6;
/** Intent frames in use, and the frames: what this worker has in its hands between two locks. Owner only; recovery. */
export const SLOT_INTENT_DEPTH = 7;
/** Where recovery stands: who goes through the marks (its name; 0 = nobody yet), and the byte address it goes on at. */
export const SLOT_RECOVERY_PHASE = 8;
export const SLOT_RECOVERY_AT = 9;
/** Locks found taken, locks waited for: contention, owner only. */
export const SLOT_CONTENTIONS = 10;
/** Asks this worker (in any zone) to look at its attention words. */
export const SLOT_ATTENTION = 11;
/** Name of the tenant to whom this worker is just giving something; 0 = nobody. Owner only; whoever recovers that tenant looks. */
export const SLOT_HANDING = 12;
/** 1 while this worker leaves: it is given nothing any more. Owner only; everybody reads. */
export const SLOT_LEAVING = 13;
/**
 * Name of the tenant that holds the host's lock of its name for life: if that lock is free, this tenant is dead. Owner only,
 * by compare-exchange as long as it is not sure to be that.
 */
export const SLOT_HOST_LOCK = 14;
/**
 * Name of a tenant whose certificate speaks for it alone: it has certified itself, and its thread lives on with what it has started;
 * or, with ALONE_BY_LOCK, its host's lock was let go, and what it has started may live a little longer. Written by whoever certifies,
 * before; taken back by who knows that all of it has ended.
 */
export const SLOT_ALONE = 15;
export const ALONE_BY_LOCK = 0x40000000;
/** Word indices of this worker's chunks of cache lines, 64 zones each; 0 = not yet. Written under the control lock. */
export const SLOT_CHUNKS = 16;
/** One bit a zone id: this worker has it open. Owner under the control lock; recovery. */
export const SLOT_OPEN = 32;
export const SLOT_OPEN_WORDS: number = MAX_ZONES / 32;
/** Intent frames. */
export const SLOT_INTENTS = 64;
export const INTENT_FRAMES = 8;
export const INTENT_WORDS = 8;
/** Journal entries: {where, old value}. */
export const SLOT_JOURNAL = 128;
export const JOURNAL_ENTRIES = 64;
/** One bit a zone id: this worker waits for an item of it. Changed with the zone's SLEEPERS in one transaction under the keg's lock. */
export const SLOT_WAITING = 256;
/** 32 words to spare behind that. */

export const STATE_FREE = 0;
export const STATE_RESERVED = 1;
export const STATE_LIVE = 2;
export const STATE_DEAD = 3;
export const STATE_BITS = 3;
export const STATE_MASK = 7;
/** A name is {generation << 7 | slot}: 22 bits of generation, so that bit 30 stays free for a lock's "has waiters". */
export const NAME_SLOT_BITS = 7;
export const NAME_SLOT_MASK = 127;
export const GENERATION_MASK = 0x3fffff;
export const LOCK_WAITERS = 0x40000000;

/** Intent frame: kind, then by kind. Everything but EXTENT and HEADER is written plainly before they are set. */
export const INTENT_KIND = 0;
/** Keg (word index) of a slab being born or dying. */
export const INTENT_KEG = 1;
/** Byte address of the pages in hand, 0 = none; set by the transaction that took them. */
export const INTENT_EXTENT = 2;
export const INTENT_PAGES = 3;
/** Slab header in hand (word index), 0 = none. */
export const INTENT_HEADER = 4;
/** Flags the supplier gave with the pages; bit 31: a user's freef has been called for them and is not called again. */
export const INTENT_FLAGS = 5;
export const INTENT_ZONE = 6;
export const INTENT_SPARE = 7;
export const INTENT_NONE = 0;
/** Pages (and a header) that will become a slab, or are one that was taken out of its keg. */
export const INTENT_SLAB = 1;
/** Pages on their way into a pool: they go back to the heap if the worker dies. */
export const INTENT_PAGE = 2;
/** A bucket in hand (in HEADER, as a position): empty on its way to the pool, or with items that pass the gate of the zone in ZONE. */
export const INTENT_BUCKET = 3;
/** Items that the zone counts (ITEMS) on account of this frame beyond those in the bucket: being imported or released. */
export const INTENT_SURPLUS: number = INTENT_PAGES;
/** A span between an arena and its source. The frame's words are named SPAN_…; the first three are the others' names for them. */
export const INTENT_SPAN = 4;
/** The arena that imports or releases; its source (word index of an arena, −1 = functions of the user's, −2 = which were called). */
export const SPAN_ARENA: number = INTENT_KEG;
export const SPAN_SOURCE: number = INTENT_FLAGS;
/**
 * While the span is in hand, the serial of the arena that it goes home to (the heap's: −1): the source, or for a span from functions of
 * the user's the arena that imports. Set and cleared by the arenas' transactions. A record may be another arena's by then.
 */
export const SPAN_HELD: number = INTENT_HEADER;
/** Numbers. */
export const SPAN_START: number = INTENT_EXTENT;
export const SPAN_SIZE: number = INTENT_ZONE;

/* ── Cache line of one worker for one zone ──────────────────────────────────────────────────────────────────────────────── */

export const LINE_WORDS = 16;
export const LINES_PER_CHUNK = 64;
/** The alloc bucket: word index of its topmost item; low 8 bits = BUCKET_EMPTY when there is none. Owner only: the commit word of tier 0. */
export const LINE_SP = 0;
/**
 * Position at which the alloc bucket is full (7 + capacity). Stored by the owner; anybody may store 0 to call the owner into
 * its slow path at its next free: that is the attention word. Why it was called stands in REASONS.
 */
export const LINE_TOP = 1;
/**
 * Allocations, low 31 bits; the owner carries into ALLOCS_HIGH on reaching 2³¹. Bit 31 above other bits is a call into the slow
 * path, as TOP = 0 is for frees: anybody may set it, and it may get lost.
 */
export const LINE_ALLOCS = 2;
/** Bits set by Atomics.or by whoever asks, taken by Atomics.exchange by the owner. Set before TOP is stored 0. */
export const LINE_REASONS = 3;
/** Allocations carried from ALLOCS, in units of 2³¹. Owner only. */
export const LINE_ALLOCS_HIGH = 4;
/** The alloc bucket while a hook runs that may not use the zone: it stands here instead of in SP. Owner only. */
export const LINE_HIDDEN = 5;
/** The second ("free") bucket in the same form as SP; 0 = none. Owner only. */
export const LINE_SPARE = 6;
/** An empty bucket on its way from the pool; 0 = none. Owner only. */
export const LINE_EXTRA = 7;
/** f64: frees of items that another worker had allocated (XDOM). */
export const LINE_REMOTE = 8;
export const LINE_FAILS = 10;
export const LINE_SLEEPS = 11;
/** Items set aside by prefill, in the same form as SP; 0 = none. */
export const LINE_PREFILL = 12;
/** SMR zones: the bucket that collects freed items. */
export const LINE_SMR = 13;
/** Tag of the zone that this line was opened for. */
export const LINE_TAG = 14;
/** Depot exchanges of this worker in this zone; wraps, differences stay right. */
export const LINE_EXCHANGES = 15;

export const REASON_DRAIN = 1;
export const REASON_DYING = 2;
export const REASON_ORPHANS = 4;
/** Give the items cached here back as far as possible: bucket, depot, slabs. */
export const REASON_RECLAIM = 8;
/** The same, down to the working set. */
export const REASON_TRIM = 16;

/* ── Bucket ─────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** A bucket is an aligned window of 256 words: 8 of header, 248 items. */
export const BUCKET_WORDS = 256;
export const BUCKET_BYTES: number = BUCKET_WORDS * 4;
export const BUCKET_MASK = 255;
/** Value of SP & 127 in an empty bucket: the last header word. */
export const BUCKET_EMPTY = 7;
export const BUCKET_MAX_ITEMS = 248;
/** Name of the owner: a worker; 0 = the depot or the pool. */
export const BUCKET_OWNER = 0;
/** Items in it; outdated while a cache word names the bucket. */
export const BUCKET_COUNT = 1;
/** Next in the depot's or pool's list. */
export const BUCKET_NEXT = 2;
/** Zone record it serves; 0 in the pool. */
export const BUCKET_ZONE = 3;
/** SMR: the write sequence that must have been read by all before its items are reused. */
export const BUCKET_SEQ = 4;
/** In an intent frame: how many of its items, from the first on, are the zone's (through its zoneInit, not through zoneFini). */
export const BUCKET_INITED = 5;

/** `SP` of a line without an alloc bucket: reads as empty. With TOP = 0 it reads as full, too. */
export const NO_BUCKET = 7;

/* ── Zone and keg records ───────────────────────────────────────────────────────────────────────────────────────────────── */

export const RECORD_WORDS = 128;
export const RECORD_BYTES: number = RECORD_WORDS * 4;

/** Zone: identity; written under the control lock. */
export const ZONE_NEXT_FREE = 0;
export const ZONE_STATE = 1;
export const ZONE_ID = 2;
/** What the page table shows for its items; never 0, never used twice. */
export const ZONE_TAG = 3;
export const ZONE_KEG = 4;
export const ZONE_FLAGS = 5;
export const ZONE_HOOKS = 6;
export const ZONE_HASH = 7;
export const ZONE_POLICY = 8;
/** 1: items were left for a worker that has the zone open; ~ the name of one that is seeing to them; 0: there are none. */
export const ZONE_ORPHANS = 9;
/** Bucket capacity now, and its bounds. Under the keg's lock. */
export const ZONE_BUCKET_CAP = 10;
export const ZONE_BUCKET_MIN = 11;
export const ZONE_BUCKET_MAX = 12;
/** Depot, under the keg's lock: full (non-empty) buckets, their number and items; empty buckets and their number. */
export const ZONE_FULL = 16;
export const ZONE_FULL_COUNT = 17;
export const ZONE_DEPOT_ITEMS = 18;
export const ZONE_EMPTY = 19;
export const ZONE_EMPTY_COUNT = 20;
/** Working set, under the keg's lock. */
export const ZONE_DEPOT_MIN = 22;
export const ZONE_DEPOT_MAX = 23;
export const ZONE_WSS = 24;
export const ZONE_LIMIN = 25;
export const ZONE_TIMIN = 26;
/** Limit: items at most (0 = none), items out of the keg (allocated or cached), workers that wait. Under the keg's lock. */
export const ZONE_LIMIT = 32;
export const ZONE_ITEMS = 33;
export const ZONE_SLEEPERS = 34;
/** Slot that was woken last: the next free wakes the next one round. A hint, stored by anybody. */
export const ZONE_WAKE = 35;
/** Items in the depot at most, by definition; 0 = no bound. */
export const ZONE_MAXCACHE = 36;
export const ZONE_CONTENTIONS = 37;
export const ZONE_EXCHANGES = 38;
export const ZONE_SLEEPS = 39;
export const ZONE_PRIMARY = 40;
export const ZONE_SECONDARIES = 41;
export const ZONE_SMR = 42;
/** Dying, and the last opener has gone: name of the worker that takes it apart. Under the control lock. */
export const ZONE_CLOSER = 43;
/** Items in the depot at most, now (0 = no bound, −1 = none): MAXCACHE, until something better is known. Under the keg's lock. */
export const ZONE_DEPOT_CAP = 44;
/** The limit of the definition, which all openers must agree on; LIMIT itself is changed by setMax. */
export const ZONE_LIMIT_DEFINED = 45;
/** When the limit was last warned of: seconds since 2024. By compare-exchange. */
export const ZONE_WARNED = 46;
/** Items that were out when the limit was lowered: as many may be above it. Under the keg's lock. */
export const ZONE_OVER = 47;
/** Bucket capacity as defined, which all openers must agree on. */
export const ZONE_BUCKET_DEFINED = 48;
/** CONTENTIONS at the last tick. */
export const ZONE_CONTENTIONS_SEEN = 49;
/** SMR zones: buckets of freed items that readers may still see, the oldest first, and how many. Under the keg's lock; the items count as the depot's. */
export const ZONE_LIMBO = 50;
export const ZONE_LIMBO_TAIL = 51;
export const ZONE_LIMBO_COUNT = 52;
/** Where what is built on the zone begins (a map's table); stored by compare-exchange. */
export const ZONE_ROOT = 53;
/** Which hooks it has now (setters may add to HOOKS, which is what openers must agree on). Under the keg's lock. */
export const ZONE_HOOKS_NOW = 54;
/** The flags of the definition, which all openers must agree on; FLAGS may be changed by setters. */
export const ZONE_FLAGS_DEFINED = 55;
/** Its place in the keg's list of zones; what the zone bytes of its items say. 0 = the primary. */
export const ZONE_INDEX = 56;
/** Zones with handles: above every generation that any item of the zone has had. Raised by Atomics only; wraps. */
export const ZONE_GENERATION = 60;
/** UTF-8 name: length in bytes, then the bytes. */
export const ZONE_NAME_LENGTH = 63;
export const ZONE_NAME = 64;
export const ZONE_NAME_BYTES = 128;

export const ZONE_STATE_FREE = 0;
export const ZONE_STATE_MAKING = 1;
export const ZONE_STATE_LIVE = 2;
export const ZONE_STATE_DYING = 3;

/** Keg: the lock guards everything in the record below it, its slabs, and the depots of its zones. */
export const KEG_NEXT_FREE = 0;
export const KEG_LOCK = 1;
export const KEG_TAG = 2;
export const KEG_FLAGS = 3;
/** Item size as asked, and as laid out, bytes. */
export const KEG_SIZE = 4;
export const KEG_RSIZE = 5;
/** Grid: log2 of the unit that every item's start is a multiple of, and unit − 1. */
export const KEG_SHIFT = 6;
export const KEG_UNIT_MASK = 7;
export const KEG_IPERS = 8;
export const KEG_PPERA = 9;
export const KEG_HEADER_BYTES = 10;
export const KEG_BITS_WORDS = 11;
export const KEG_HOOKS = 12;
export const KEG_SUPPLIER = 13;
export const KEG_RESERVE = 14;
export const KEG_REFS = 15;
/** Slabs, items in them, items free in them. */
export const KEG_SLABS = 16;
export const KEG_ITEMS = 17;
export const KEG_FREE = 18;
export const KEG_PAGES = 19;
/** Bytes of slab headers, for the statistics. */
export const KEG_ZONE = 20;
/** Items that were free in the slabs at the last tick. */
export const KEG_FREE_SEEN = 21;
/** Kegs that may have secondary zones: distance from an item's mark to its zone byte (which zone it is out to); 0 = no zone bytes. */
export const KEG_ZONE_AT = 22;
/** Kegs that serve the quantum caches of an arena: its record and serial, and the quanta that an item stands for. 0 = any other keg. */
export const KEG_ARENA = 24;
export const KEG_ARENA_SERIAL = 25;
export const KEG_PIECE = 26;
/** Lists of slabs: wholly free, wholly taken, and partly free in eight bins by the share that is free (fullest first). */
export const KEG_LIST_FREE = 32;
export const KEG_LIST_TAKEN = 33;
export const KEG_LIST_PARTIAL = 34;
export const KEG_PARTIAL_BINS = 8;
/** Zones of the keg (records) by ZONE_INDEX, the primary first; 0 = none. Under the control lock. */
export const KEG_ZONES = 64;
export const KEG_MOST_ZONES = 32;

/* ── Slab header ────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** Off the slab's own pages: {links, keg, first byte, counts}, then a bit an item (1 = free), then a byte a unit: the marks. */
export const SLAB_NEXT = 0;
export const SLAB_PREV = 1;
export const SLAB_KEG = 2;
/** Byte address of the slab's first page. */
export const SLAB_START = 3;
export const SLAB_FREE = 4;
/** Which list it stands in (KEG_LIST_…), 0 = in somebody's hands. */
export const SLAB_LIST = 5;
/** Items that have been through init; the others hold nothing that fini could take. */
export const SLAB_INITED = 6;
/** Flags the supplier gave with the pages. */
export const SLAB_FLAGS = 7;
export const SLAB_BITS = 8;

/* ── Marks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** Nobody's: free in a slab or in a bucket, or no item's first unit at all. */
export const MARK_FREE = 0;
/** Owner's slot with BUSY: inside ctor or dtor, or on its way back. */
export const MARK_BUSY = 0x80;
/** The owner is dead. */
export const MARK_ORPHAN = 0x7f;

/* ── Page table ─────────────────────────────────────────────────────────────────────────────────────────────────────────── */

export const PTE_WORDS = 4;
/** Tag of the keg whose slab this page belongs to; 0 = no slab. */
export const PTE_TAG = 0;
/** Mark of the item at p: byte delta + (p >> shift). */
export const PTE_DELTA = 1;
/** Slab header, word index. */
export const PTE_SLAB = 2;
/** First page of a large block of malloc: its pages, stored in the arena's transaction; 0 everywhere else. */
export const PTE_SPARE = 3;

/* ── Arenas ─────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/**
 * Control block of an arena: the same in the shared memory and in the private buffer of a local arena. Words first, then numbers
 * (f64, two words each, at even offsets). Integers of the arena itself are numbers everywhere: exact up to 2⁵³ − 1.
 * Everything is written under the arena's lock; numbers may be read without it.
 */
export const ARENA_WORDS = 256;
export const ARENA_LOCK = 0;
export const ARENA_FLAGS = 1;
/** Free segments: bit k = list k (sizes 2ᵏ … 2ᵏ⁺¹ − 1) is not empty; lists 32 and up in the second word. */
export const ARENA_BITMAP = 2;
export const ARENA_BITMAP_HIGH = 3;
/** First and last segment or span marker, in the order of the addresses. */
export const ARENA_FIRST = 4;
export const ARENA_LAST = 5;
/**
 * Free tags: their list; tags in all, in the list or the address list (so there is no count of free ones to keep); next and end of the
 * page being carved.
 */
export const ARENA_TAG_FREE = 6;
export const ARENA_TAGS = 7;
export const ARENA_TAG_NEXT = 8;
export const ARENA_TAG_END = 9;
/** Linear hash of allocated segments: buckets of the current round (a power of two), next bucket to split. */
export const ARENA_HASH_ROUND = 10;
export const ARENA_HASH_SPLIT = 11;
/** Spans, and tags in the address list (segments and markers). */
export const ARENA_SPANS = 13;
export const ARENA_SEGMENTS = 14;
/** Next fit goes on at this tag (see ROTOR_AT). */
export const ARENA_ROTOR = 15;
/** Markers of the spans, in the order of the addresses. */
export const ARENA_SPAN_FIRST = 16;
export const ARENA_SPAN_LAST = 17;
/** ARENA_STATE_…; and a number that no two arenas of a memory share: a handle of a destroyed arena is told by it. */
export const ARENA_STATE = 18;
export const ARENA_SERIAL = 19;
/** Next record in the list of arenas, or of free records. Under the control lock. */
export const ARENA_NEXT = 20;
/** Where spans are imported from: word index of an arena, 0 = nowhere, −1 = functions of the user's. */
export const ARENA_SOURCE = 21;
/** Somebody waits for a free; what waiters sleep on. */
export const ARENA_WAITERS = 22;
export const ARENA_WAIT_SEQ = 23;
/** Pages that the arena took from itself for tags and hash tables. */
export const ARENA_OWN = 26;
/**
 * Name of the worker that takes a dying arena apart. Set under the control lock while the arena lives yet: from then on none begins
 * to import from it and no zone is made for its caches. An arena that is being made is dying until it lives, its maker's name here.
 */
export const ARENA_CLOSER = 27;
/** Bit n: pieces of n quanta have been served by a quantum cache. */
export const ARENA_QCACHE_SIZES = 28;
/** Numbers. */
export const ARENA_QUANTUM = 32;
/** Integers in use, in all spans, in imported spans, the most ever in use. */
export const ARENA_IN_USE = 34;
export const ARENA_TOTAL = 36;
export const ARENA_IMPORTED = 38;
export const ARENA_PEAK = 40;
/** Integers that the spans may hold in all by importing (0 = no limit); least size of an import. */
export const ARENA_LIMIT = 42;
export const ARENA_IMPORT_MIN = 44;
/** Where next fit goes on. */
export const ARENA_ROTOR_AT = 46;
export const ARENA_QCACHE_MAX = 48;
/** Statistics as illumos counts them. */
export const ARENA_ALLOCS = 50;
export const ARENA_FREES = 52;
export const ARENA_FAILS = 54;
export const ARENA_WAITS = 56;
export const ARENA_LOOKUPS = 58;
export const ARENA_SEARCHES = 60;
export const ARENA_POPULATE_WAITS = 62;
export const ARENA_POPULATE_FAILS = 64;
export const ARENA_CONTAINS = 66;
export const ARENA_CONTAINS_SEARCHES = 68;
/** Heads of the free lists, one a power of two. */
export const ARENA_FREE_LISTS = 80;
export const ARENA_FREE_LIST_COUNT = 53;
/** Hash directory: entry 0 is a table of 64 buckets, entry k > 0 one of 64 << (k − 1). */
export const ARENA_HASH_TABLES = 136;
export const ARENA_HASH_TABLE_COUNT = 25;
/** UTF-8 name: length in bytes, then the bytes. */
export const ARENA_NAME_LENGTH = 167;
export const ARENA_NAME = 168;
export const ARENA_NAME_BYTES = 64;

export const ARENA_STATE_FREE = 0;
export const ARENA_STATE_LIVE = 1;
export const ARENA_STATE_DYING = 2;
/** ARENA_SOURCE of an arena that imports by functions of the user's. */
export const ARENA_SOURCE_USER = -1;
/** ARENA_FLAGS: the integers are identifiers. */
export const ARENA_IDENTIFIERS = 1;
/** In the page of a shared arena's record, behind the control block: table 0 of the hash, then its first tags. */
export const ARENA_PAGE_HASH: number = ARENA_WORDS;
export const ARENA_PAGE_TAGS: number = ARENA_WORDS + 64;

/** Boundary tag: one a segment, and one a span (its marker). START and SIZE are numbers. */
export const TAG_WORDS = 12;
export const TAG_BYTES: number = TAG_WORDS * 4;
export const TAG_START = 0;
export const TAG_SIZE = 2;
export const TAG_KIND = 4;
/** Neighbours in address order. */
export const TAG_PREV = 5;
export const TAG_NEXT = 6;
/** Free: neighbours in the free list. Allocated: LINK_NEXT is the hash chain. Marker: neighbours among the markers. Unused: LINK_NEXT is the list of free tags. */
export const TAG_LINK_PREV = 7;
export const TAG_LINK_NEXT = 8;
/** Allocated: name of the worker whose block it is; 0 = the allocator's own. */
export const TAG_OWNER = 9;
/** In the hands of the quantum caches of a shared arena: byte address of the page whose items stand for its pieces. */
export const TAG_SHADOW = 10;
/** A page of tags begins with four words to spare: 85 tags follow. */
export const TAG_PAGE_HEADER_WORDS = 4;

export const TAG_UNUSED = 0;
export const TAG_SEGMENT_FREE = 1;
export const TAG_SEGMENT_BUSY = 2;
/** Busy, and given by xalloc: only xfree takes it back. */
export const TAG_SEGMENT_XBUSY = 3;
/** Busy, and cut up further by the quantum caches. */
export const TAG_SEGMENT_CACHE = 4;
export const TAG_SPAN = 5;
export const TAG_SPAN_IMPORTED = 6;

/* ── Mappings: ranges of addresses over scattered pages ─────────────────────────────────────────────────────────────────── */

/**
 * A page: the arena of the addresses (word index), then the directory: one word for each table of MAP_TABLE_ENTRIES entries, its
 * byte address, 0 = not yet. Tables are pages of the heap, zeroed before they are entered, and stay.
 */
export const VMAP_ARENA = 0;
export const VMAP_DIRECTORY = 16;
export const VMAP_TABLES: number = PAGE_BYTES / 4 - VMAP_DIRECTORY;
/** Mapped addresses begin behind every byte address there can be, and end at 2³². */
export const VMAP_START = 0x80000000;
export const MAP_TABLE_ENTRIES = 512;
export const MAP_TABLE_SHIFT = 9;
/** Bytes of addresses under one table. */
export const MAP_TABLE_SPAN: number = MAP_TABLE_ENTRIES * PAGE_BYTES;
/** An entry, one a page of addresses: {what, note}. */
export const MAP_ENTRY_WORDS = 2;
/**
 * What stands at the page of addresses: 0 = nothing; a page's byte address (low 12 bits 0); MAP_AREA: the guard page in front of an
 * area, {its pages << 8 | bits}; MAP_FOREIGN: the first page of an area over a buffer from elsewhere, {its page there << 8 | bits}.
 * An area over a buffer from elsewhere has one page of addresses more than it has pages, at its end, with nothing at it.
 */
export const MAP_WHAT = 0;
/**
 * Of MAP_AREA: name of the worker whose area it is. Of MAP_FOREIGN: first byte in the first page | bytes to spare in the last << 12.
 * Of an area's first page (of the page more, if it is over a buffer from elsewhere): site of whoever asked for it, 0 = not noted.
 * Of any other page: MAP_FOLLOWS, or 0: a run of pages begins there, which was taken and is given back as one.
 */
export const MAP_NOTE = 1;
export const MAP_FOLLOWS = -1;
export const MAP_AREA = 1;
/** The area can be used; without it, it is being built or taken apart by the worker that it is noted for. */
export const MAP_LIVE = 2;
/** Of MAP_AREA: it has no pages, but stands for a buffer from elsewhere. */
export const MAP_IO = 4;
export const MAP_FOREIGN = 8;
export const MAP_COUNT_SHIFT = 8;
