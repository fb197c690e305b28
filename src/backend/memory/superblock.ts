/**
 * The superblock: what makes a stretch of a buffer a memory, and how a newcomer knows that it is one.
 *
 * The creator writes all of it before READY, which it stores last; nobody else writes it. Whoever attaches checks magic, byte
 * order, version, features, the memory's id and the buffer's length, in that order, and touches nothing else before.
 */
import type { Cells } from "./cells.ts";
import { UmaError, optionError } from "./errors.ts";
import {
  BYTE_ORDER_MARK,
  FEATURES_KNOWN,
  LAYOUT_VERSION,
  LINE_SP,
  MAGIC,
  MAX_WORKERS,
  MAX_ZONES,
  NO_BUCKET,
  PAGE_BYTES,
  PTE_WORDS,
  SB_BASE,
  SB_BOOT_END,
  SB_BOOT_NEXT,
  SB_BYTES,
  SB_BYTE_ORDER,
  SB_DEAD_LINE,
  SB_FEATURES,
  SB_HEAP_END,
  SB_HEAP_START,
  SB_ID_HIGH,
  SB_ID_LOW,
  SB_MAGIC,
  SB_PAGE_TABLE,
  SB_READY,
  SB_SLOTS,
  SB_SMR_READ,
  SB_SMR_WRITE,
  SMR_FIRST,
  SB_VERSION,
  SB_WORKERS,
  SB_ZONE_DIRECTORY,
  SLOT_BYTES,
  SUPERBLOCK_BYTES,
} from "./layout.ts";

/** Where the regions of a memory lie: bytes for addresses, word indices for records. */
export interface Geometry {
  /** Length of the whole buffer, and where in it the memory begins: bytes. */
  readonly bytes: number;
  readonly base: number;
  readonly workers: number;
  /** Word indices. */
  readonly slots: number;
  readonly pageTable: number;
  readonly zoneDirectory: number;
  /** The heap, [start, end), byte addresses. */
  readonly heapStart: number;
  readonly heapEnd: number;
  /** Random identity of the memory, two words. */
  readonly idLow: number;
  readonly idHigh: number;
}

/** Workers a memory has room for when the user says nothing: few in a small one, where slots are dear. */
export function defaultWorkers(bytes: number): number {
  return bytes >= 16 * 2 ** 20 ? MAX_WORKERS : bytes >= 2 ** 20 ? 30 : 8;
}

/** Checks the option `workers`. */
export function checkWorkers(workers: unknown): asserts workers is number {
  if (typeof workers !== "number" || !Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) {
    throw optionError("workers", workers, `an integer from 1 to ${MAX_WORKERS}`);
  }
}

/**
 * Lays a new memory out in `cells` and writes its superblock, all but READY.
 * @param bootPages - pages set aside for what zones need before the arena is asked.
 */
export function layOut(cells: Cells, workers: number, bootPages: number): Geometry {
  const base = cells.base << 2;
  const bytes = cells.buffer.byteLength;
  const end = base + Math.floor((bytes - base) / PAGE_BYTES) * PAGE_BYTES;
  const zoneDirectory = base + SUPERBLOCK_BYTES;
  const slots = zoneDirectory + MAX_ZONES * 4;
  const pageTable = roundUp(slots + (workers + 1) * SLOT_BYTES, 64);
  const boot = roundUp(pageTable + ((end - base) / PAGE_BYTES) * PTE_WORDS * 4, PAGE_BYTES);
  const heapStart = boot + bootPages * PAGE_BYTES;
  if (end - heapStart < 8 * PAGE_BYTES) {
    throw optionError("workers", workers, `fewer (or fewer bootPages): in ${bytes} bytes they leave no room for a heap`);
  }
  const id = crypto.getRandomValues(new Int32Array(2));
  const geometry: Geometry = {
    bytes,
    base,
    workers,
    slots: slots >>> 2,
    // Indexed by address >>> PAGE_SHIFT, so it is stored as if it began at address 0.
    pageTable: (pageTable >>> 2) - (base / PAGE_BYTES) * PTE_WORDS,
    zoneDirectory: zoneDirectory >>> 2,
    heapStart,
    heapEnd: end,
    idLow: id[0] as number,
    idHigh: id[1] as number,
  };
  write(cells, geometry);
  cells.i32[cells.base + SB_BOOT_NEXT] = boot;
  cells.i32[cells.base + SB_BOOT_END] = heapStart;
  cells.i32[cells.base + SB_SMR_WRITE] = SMR_FIRST;
  cells.i32[cells.base + SB_SMR_READ] = SMR_FIRST;
  cells.i32[cells.base + SB_DEAD_LINE + LINE_SP] = NO_BUCKET;
  return geometry;
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function write({ i32, base: sb }: Cells, g: Geometry): void {
  i32[sb + SB_VERSION] = LAYOUT_VERSION;
  i32[sb + SB_BYTE_ORDER] = BYTE_ORDER_MARK;
  i32[sb + SB_FEATURES] = FEATURES_KNOWN;
  i32[sb + SB_ID_LOW] = g.idLow;
  i32[sb + SB_ID_HIGH] = g.idHigh;
  i32[sb + SB_BYTES] = g.bytes;
  i32[sb + SB_BASE] = g.base;
  i32[sb + SB_WORKERS] = g.workers;
  i32[sb + SB_SLOTS] = g.slots;
  i32[sb + SB_PAGE_TABLE] = g.pageTable;
  i32[sb + SB_HEAP_START] = g.heapStart;
  i32[sb + SB_HEAP_END] = g.heapEnd;
  i32[sb + SB_ZONE_DIRECTORY] = g.zoneDirectory;
  i32[sb + SB_MAGIC] = MAGIC;
}

/** Clears the regions of a memory that is made in a buffer of somebody else's, whatever was in it: from the directory to the boot pages. */
export function clearRegions({ u8, i32, base: sb }: Cells, g: Geometry): void {
  u8.fill(0, g.zoneDirectory << 2, i32[sb + SB_BOOT_NEXT]);
}

/** Opens the memory to others: everything in it is made. */
export function declareReady({ i32, base: sb }: Cells): void {
  Atomics.store(i32, sb + SB_READY, 1);
}

/** Reads and checks a superblock that somebody else wrote. */
export function readGeometry({ i32, u8, base: sb, buffer }: Cells): Geometry {
  const not = (what: string): UmaError => new UmaError("ERR_UMA_NOT_A_MEMORY", `no memory of this library: ${what}`, { value: sb << 2 });
  if (i32.length < sb + SB_READY || i32[sb + SB_MAGIC] !== MAGIC) throw not("the magic number is missing at this base");
  for (let i = 0; i < 4; i++) {
    if (u8[((sb + SB_BYTE_ORDER) << 2) + i] !== i + 1) {
      throw new UmaError("ERR_UMA_BYTE_ORDER", "this memory was written on a machine of the other byte order");
    }
  }
  const version = i32[sb + SB_VERSION];
  if (version !== LAYOUT_VERSION) {
    throw new UmaError(
      "ERR_UMA_VERSION",
      `layout version ${version}; this library reads ${LAYOUT_VERSION}: load one version in all threads`,
      {
        value: version,
      },
    );
  }
  const unknown = i32[sb + SB_FEATURES] & ~FEATURES_KNOWN;
  if (unknown !== 0) throw new UmaError("ERR_UMA_VERSION", `unknown feature bits 0x${(unknown >>> 0).toString(16)}`, { value: unknown });
  if (Atomics.load(i32, sb + SB_READY) !== 1) throw not("its creator has not finished making it");
  const bytes = i32[sb + SB_BYTES] >>> 0;
  if (bytes !== buffer.byteLength) throw not(`it was made in ${bytes} bytes, this buffer has ${buffer.byteLength}`);
  return {
    bytes,
    base: sb << 2,
    workers: i32[sb + SB_WORKERS],
    slots: i32[sb + SB_SLOTS],
    pageTable: i32[sb + SB_PAGE_TABLE],
    zoneDirectory: i32[sb + SB_ZONE_DIRECTORY],
    heapStart: i32[sb + SB_HEAP_START],
    heapEnd: i32[sb + SB_HEAP_END] >>> 0,
    idLow: i32[sb + SB_ID_LOW],
    idHigh: i32[sb + SB_ID_HIGH],
  };
}
