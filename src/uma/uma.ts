/**
 * Uma: one attachment of one thread to one memory; the face of the library.
 *
 * `Uma.create` makes a memory and attaches its maker; `ticket()` reserves a worker slot and travels to a worker in its workerData;
 * `Uma.attach` takes it up there. Whoever learns of a worker's end hands its ticket to `reap` (or lets `watch` do it).
 */
import { acceptBuffer, acceptWasm, checkBase, isShared, makeBuffer, type MemoryBuffer, type WasmMemory } from "../backend/memory/buffer.ts";
import { createCells, threadCanWait } from "../backend/memory/cells.ts";
import { UmaError, optionError } from "../backend/memory/errors.ts";
import { createFloor } from "../backend/memory/floor.ts";
import { LAYOUT_VERSION, LINE_REASONS, PAGE_BYTES, SB_CONTROL_LOCK, SLOT_HOST_LOCK, SUPERBLOCK_BYTES } from "../backend/memory/layout.ts";
import { slotOf } from "../backend/memory/names.ts";
import { checkWorkers, clearRegions, declareReady, defaultWorkers, type Geometry, layOut } from "../backend/memory/superblock.ts";
import type { Arenas } from "../backend/vmem/arenas.ts";
import { createSlots } from "../backend/memory/slots.ts";
import { type Parts, compose } from "./composition.ts";
import { createCore, type Core, endCore, finishUnfinished } from "./core.ts";
import type { ZoneDefinition } from "./definition.ts";
import type { Views } from "./hooks.ts";
import { type Failure, failureName } from "./outcome.ts";
import type { ReclaimMode } from "./reclaim.ts";
import { refuseDeno } from "./hosts/deno.ts";
import { type ExitingWorker, exitOf } from "./hosts/node.ts";
import { findLocks, holdForLife, type LocksLike, lockNameOf, untilReleased, type Watched } from "./hosts/web.ts";
import type { RecoveryReport } from "./recovery-report.ts";
import type { Smr } from "./smr.ts";
import { type MemoryStatistics, zoneTable } from "./statistics.ts";
import type { OutstandingItem, SiteReport, SiteZone } from "./sites.ts";
import { openTicket, type Ticket } from "./ticket.ts";
import type { OnlineOptions, OnlineVerdict } from "./verify-online.ts";
import type { Verdict } from "./verify.ts";
import type { Reclaimed } from "./zone.ts";

export type { Ticket } from "./ticket.ts";

export interface CreateOptions {
  /** Length of the memory, bytes: 128 KiB to 2 GiB. Reserve generously: systems commit it as it is touched. */
  readonly bytes?: number;
  /** Where it lies: "shared" (a SharedArrayBuffer, default) or "array" (an ArrayBuffer, one thread only). */
  readonly kind?: "shared" | "array";
  /** A buffer to make it in, instead of `bytes` and `kind`. */
  readonly buffer?: MemoryBuffer;
  /** A shared WebAssembly.Memory to make it in. */
  readonly wasm?: WasmMemory;
  /** Where in the buffer it begins, bytes (a multiple of 4096): what lies below is somebody else's. Default 0. */
  readonly base?: number;
  /** Workers that can be attached at a time, 1 … 126. Default by length. */
  readonly workers?: number;
  /** Pages set aside for the records of zones, used before the arena's. Default 4. */
  readonly bootPages?: number;
  /** How long this thread waits for a lock before it answers BUSY, milliseconds. Default 50. */
  readonly patience?: number;
  /** Whether this thread's event loop does what other workers ask of it (default): else `poll` has to be called. */
  readonly listen?: boolean;
}

export interface AttachOptions {
  /** How long this thread waits for a lock before it answers BUSY, milliseconds. Default 5000. */
  readonly patience?: number;
  /** Whether this thread's event loop does what other workers ask of it (default): else `poll` has to be called. */
  readonly listen?: boolean;
}

export interface LockOptions {
  /** Instead of `navigator.locks`. */
  readonly locks?: LocksLike;
}

export interface ReapAsyncOptions {
  /** How long the thread is kept between two turns of its event loop, milliseconds. Default 4. */
  readonly slice?: number;
}

export interface WatchLockOptions extends LockOptions, ReapAsyncOptions {
  /** Between two looks, milliseconds. Default 250. */
  readonly interval?: number;
  /** Ends the watch; the promise is rejected with ERR_UMA_ABORTED. */
  readonly signal?: AbortSignal;
}

const CREATOR_PATIENCE_MS = 50;
const WORKER_PATIENCE_MS = 5000;
/** Between two tries of a recovery that met a lock it could not have, milliseconds. */
const RETRY_MS = 10;
/** How often an asynchronous recovery is tried again that an exception has ended; each time after twice as long. */
const MOST_FAILURES = 5;
/** How long an asynchronous recovery keeps its thread between two turns of the event loop, milliseconds. */
const SLICE_MS = 4;
const WATCH_INTERVAL_MS = 250;
const DEFAULT_BYTES = 64 * 2 ** 20;
/** Between two ticks of maintenance, milliseconds. */
const TICK_MS = 20_000;
const DEFAULT_BOOT_PAGES = 4;

/** Memories this thread is attached to, by id. */
const attached = new Map<string, Uma>();

export class Uma {
  private readonly parts: Parts;
  private readonly key: string;
  /** Lets the Web Lock go that this thread holds for life. */
  private releaseLock: (() => void) | null = null;
  private lockOnItsWay: Promise<void> | null = null;

  private constructor(parts: Parts, key: string, listen: boolean) {
    this.parts = parts;
    this.key = key;
    if (listen) parts.waiting.listen();
    attached.set(key, this);
  }

  /**
   * Makes a memory and attaches this thread to it.
   * @throws UmaError ERR_UMA_OPTION; ERR_UMA_NO_SHARED_MEMORY where SharedArrayBuffer is missing.
   */
  static create(options: CreateOptions = {}): Uma {
    if (options === null || typeof options !== "object") throw optionError("options", options, "an object");
    const { base = 0, bootPages = DEFAULT_BOOT_PAGES } = options;
    if (options.kind !== undefined && options.kind !== "shared" && options.kind !== "array")
      throw optionError("kind", options.kind, '"shared" or "array"');
    if (!Number.isInteger(bootPages) || bootPages < 0 || bootPages > 1024)
      throw optionError("bootPages", bootPages, "an integer from 0 to 1024");
    const patience = checkPatience(options.patience ?? CREATOR_PATIENCE_MS);
    const buffer =
      options.wasm !== undefined
        ? acceptWasm(options.wasm)
        : options.buffer !== undefined
          ? acceptBuffer(options.buffer)
          : makeBuffer(options.kind ?? "shared", options.bytes ?? DEFAULT_BYTES);
    checkBase(base, buffer.byteLength);
    const workers = options.workers ?? defaultWorkers(buffer.byteLength - base);
    checkWorkers(workers);
    const cells = createCells(buffer, base, threadCanWait(buffer));
    cells.u8.fill(0, base, base + SUPERBLOCK_BYTES);
    const geometry = layOut(cells, workers, bootPages);
    if (options.wasm !== undefined || options.buffer !== undefined) clearRegions(cells, geometry);
    const name = createSlots(cells, geometry.slots, workers).reserve(0);
    createSlots(cells, geometry.slots, workers).adopt(name);
    const core = createCore(createFloor(cells, geometry, name, patience));
    core.heap.init();
    declareReady(cells);
    return new Uma(compose(core), keyOf(geometry), options.listen !== false);
  }

  /**
   * Attaches this thread by the ticket it was given. A second call in the same thread returns the first attachment's.
   * @throws UmaError ERR_UMA_TICKET, ERR_UMA_NOT_A_MEMORY, ERR_UMA_VERSION, ERR_UMA_BYTE_ORDER.
   */
  static attach(ticket: Ticket, options: AttachOptions = {}): Uma {
    return Uma.adopt(ticket, options, false);
  }

  /**
   * Attaches this thread and holds a Web Lock for as long as it lives, so that {@link watchLock} learns of its death (browsers).
   * The lock comes first: the slot counts as live once it is granted.
   * @throws UmaError as {@link attach}; ERR_UMA_NO_LOCKS.
   */
  static async attachAsync(ticket: Ticket, options: AttachOptions & LockOptions = {}): Promise<Uma> {
    const known = attached.get(keyOf(openTicket(ticket).geometry));
    if (known !== undefined) return Uma.adopt(ticket, options, false);
    let uma: Uma | undefined;
    const release = await holdForLife(findLocks(options.locks), lockNameOf(ticket, ticket.name), () => uma?.lockLost());
    try {
      uma = Uma.adopt(ticket, options, true);
    } catch (error) {
      release();
      throw error;
    }
    uma.releaseLock = release;
    return uma;
  }

  private static adopt(ticket: Ticket, options: AttachOptions, holdsLock: boolean): Uma {
    const patience = checkPatience(options.patience ?? WORKER_PATIENCE_MS);
    const { cells, geometry } = openTicket(ticket);
    const key = keyOf(geometry);
    const known = attached.get(key);
    if (known !== undefined) {
      if (known.name === ticket.name) return known;
      throw new UmaError("ERR_UMA_TICKET", "this thread is attached to that memory already; one attachment a memory and thread", {
        value: slotOf(ticket.name),
      });
    }
    const floor = createFloor(cells, geometry, ticket.name, patience);
    if ((holdsLock && !floor.slots.announceLock(ticket.name)) || !floor.slots.adopt(ticket.name)) {
      throw new UmaError("ERR_UMA_TICKET", `the ticket for slot ${slotOf(ticket.name)} was used before, or its reservation was withdrawn`, {
        value: slotOf(ticket.name),
      });
    }
    return new Uma(compose(createCore(floor)), key, options.listen !== false);
  }

  /** This worker's name {generation, slot}, and its slot. */
  get name(): number {
    return this.parts.core.floor.me;
  }

  get slot(): number {
    return this.parts.core.floor.slot;
  }

  /** The buffer the memory lies in. */
  get buffer(): MemoryBuffer {
    return this.parts.core.floor.cells.buffer;
  }

  /** Views of the memory, indexed by item address in the view's own units. */
  get views(): Views {
    return this.parts.core.views;
  }

  /** Safe memory reclamation: sections of readers, and what writers wait for. */
  get smr(): Smr {
    return this.parts.core.smr;
  }

  /** Why the last `tryAlloc` of this thread returned 0. */
  get lastFailure(): Failure {
    return failureName(this.parts.core.failure);
  }

  /**
   * Opens a zone, making it if there is none of that name.
   * @throws UmaError ERR_UMA_ZONE_MISMATCH when it exists with another size, layout, hooks or flags; ERR_UMA_EMPTY; ERR_UMA_BUSY.
   */
  open<Z>(definition: ZoneDefinition<Z>): Z {
    this.check();
    // What a definition's face makes of the zone, nobody below can know.
    return this.parts.registry.open(definition as ZoneDefinition<never>) as Z;
  }

  /**
   * Reserves a slot for a worker to come.
   * @throws UmaError ERR_UMA_NO_SLOT when all are taken (raise the option `workers`); ERR_UMA_NO_SHARED_MEMORY for kind "array";
   * ERR_UMA_BUSY.
   */
  ticket(): Ticket {
    this.check();
    const { floor } = this.parts.core;
    if (!isShared(floor.cells.buffer)) {
      throw new UmaError(
        "ERR_UMA_NO_SHARED_MEMORY",
        'a memory of kind "array" belongs to one thread: make it of kind "shared" for tickets',
      );
    }
    const name = this.reserve();
    if (name === 0) {
      throw new UmaError(
        "ERR_UMA_NO_SLOT",
        `all ${floor.slots.count} worker slots are taken; raise the option workers, or reap dead workers`,
        {
          value: floor.slots.count,
        },
      );
    }
    const { base, idLow, idHigh } = floor.geometry;
    return { zalloc: LAYOUT_VERSION, buffer: floor.cells.buffer, base, idLow, idHigh, name };
  }

  /**
   * Recovers a worker that is certainly dead: its `exit` event has come, or it can never run again.
   * @param who - the worker's ticket, or its slot number for whoever is in it now. A worker that has disposed of its attachment and
   * could not finish is recovered by its number alone; by its ticket its thread has ended, and the workers it had started with it.
   * @returns what it left; `done` is false when a lock was out of reach, or another worker is at it, be it only to undo what the dead
   * one had open under a lock: call again. null when there is nothing (more) to do.
   * @throws UmaError ERR_UMA_TICKET for a ticket of another memory; ERR_UMA_OPTION for a slot that is none, or one's own.
   */
  reap(who: Ticket | number): RecoveryReport | null {
    this.check();
    const { name, ended } = this.deadName(who);
    return this.parts.recovery.run(name, undefined, ended);
  }

  /** Certifies the death of a worker. @returns its name, and whether its thread has ended: it may have certified itself. */
  private deadName(who: Ticket | number): { readonly name: number; readonly ended: boolean } {
    const { slots, slot } = this.parts.core.floor;
    const name = typeof who === "number" ? slots.tenant(checkSlot(who, slots.count)) : this.nameIn(who);
    if (slotOf(name) === slot) throw new UmaError("ERR_UMA_OPTION", "a worker cannot reap itself", { value: slot });
    const ended = typeof who !== "number" || !slots.standsAlone(name);
    if (ended) slots.certify(name);
    return { name, ended };
  }

  /**
   * Recovers a worker as {@link reap} does, but gives the event loop its turn between slices of the work, and tries again by itself
   * where a lock was out of reach, and a few times after an exception.
   * @returns resolves with what the worker left once that is done; null when there was nothing (more) to do.
   */
  async reapAsync(who: Ticket | number, options: ReapAsyncOptions = {}): Promise<RecoveryReport | null> {
    this.check();
    const slice = sliceOf(options);
    const { name, ended } = this.deadName(who);
    return this.recoverInSlices(name, ended, slice);
  }

  private async recoverInSlices(name: number, ended: boolean, slice: number): Promise<RecoveryReport | null> {
    const { core, recovery } = this.parts;
    for (let failures = 0; ; ) {
      let pauseMs = RETRY_MS;
      try {
        const report = recovery.run(name, performance.now() + slice, ended);
        if (report === null ? !core.floor.slots.isDead(name) : report.done) return report;
        if (recovery.outOfTime()) pauseMs = 0;
      } catch (thrown) {
        // Perhaps only for want of something that comes back: nobody else may be there to see to it.
        if (++failures > MOST_FAILURES) throw thrown;
        pauseMs = RETRY_MS << failures;
      }
      await new Promise<void>((resolve) => void setTimeout(resolve, pauseMs));
      if (!core.attached) return null;
    }
  }

  /**
   * Recovers a worker when it exits (Node, Bun), in slices as {@link reapAsync} does.
   * @returns resolves with what it left once that is done.
   * @throws UmaError ERR_UMA_TICKET for a ticket of another memory; ERR_UMA_OPTION; ERR_UMA_NO_CERTIFICATE in Deno.
   */
  watch(worker: ExitingWorker, ticket: Ticket, options: ReapAsyncOptions = {}): Promise<RecoveryReport | null> {
    this.check();
    this.nameIn(ticket);
    const slice = sliceOf(options);
    return exitOf(worker).then(() => (this.parts.core.attached ? this.reapAsync(ticket, { slice }) : null));
  }

  /**
   * Recovers a worker when the lock that it holds for life is free (browsers): one that came by {@link attachAsync}, or called
   * {@link holdLock}. A worker that never takes the lock is never found dead: reap it by hand. In Chromium a worker that never goes
   * back to its event loop lives on for two seconds and more after `terminate()`. The workers that it had started end after it, each
   * in its own time: those that hold a lock are watched and recovered, too.
   * @returns resolves with what it left once that is done, theirs included; null when it had left in order, or another worker saw to it.
   * @throws UmaError ERR_UMA_TICKET for a ticket of another memory; ERR_UMA_OPTION; ERR_UMA_NO_LOCKS; ERR_UMA_NO_CERTIFICATE in Deno;
   * ERR_UMA_ABORTED.
   */
  async watchLock(ticket: Ticket, options: WatchLockOptions = {}): Promise<RecoveryReport | null> {
    this.check();
    refuseDeno();
    return this.watchLockOf(this.nameIn(ticket), options);
  }

  private async watchLockOf(name: number, options: WatchLockOptions): Promise<RecoveryReport | null> {
    const { interval = WATCH_INTERVAL_MS, signal } = options;
    if (typeof interval !== "number" || !(interval >= 0)) throw optionError("interval", interval, "a number from 0 on (milliseconds)");
    const slice = sliceOf(options);
    const { core } = this.parts;
    const { slots, cells } = core.floor;
    const look = (): Watched => {
      if (!core.attached || slots.tenant(slotOf(name)) !== name || slots.isDead(name)) return "over";
      return slots.isLive(name) && cells.i32[slots.wordOf(slotOf(name)) + SLOT_HOST_LOCK] === name ? "held" : "without";
    };
    const found = await untilReleased(findLocks(options.locks), lockNameOf(core.floor.geometry, name), look, interval, signal);
    if (!core.attached) return null;
    if (found === "held") slots.certifyByLock(name);
    // It has left, or somebody else has certified it: that its lock is free says no more about what it had started than before.
    else if (!slots.isDead(name)) return null;
    const report = await this.recoverInSlices(name, false, slice);
    if (report === null || found === "over" || !core.attached) return report;
    const children = this.childrenWithLocks(name).map((child) => this.watchLockOf(child, options));
    for (const child of await Promise.allSettled(children)) {
      // Not its parent's fault: what that has left is told all the same.
      if (child.status === "rejected") report.done = false;
      else if (child.value !== null) report.children.push(child.value);
    }
    return report;
  }

  /** Workers that hold a lock for life, started by the worker `issuer`, which is dead. */
  private childrenWithLocks(issuer: number): number[] {
    const { slots, cells, me } = this.parts.core.floor;
    const children = Array.from({ length: slots.count }, (_, n) => slots.childAt(n + 1, issuer));
    return children.filter((child) => child !== 0 && child !== me && cells.i32[slots.wordOf(slotOf(child)) + SLOT_HOST_LOCK] === child);
  }

  /**
   * Takes the lock by which {@link watchLock} learns of this thread's death, for a thread that attached without.
   * @throws UmaError ERR_UMA_NO_LOCKS.
   */
  async holdLock(options: LockOptions = {}): Promise<void> {
    this.check();
    if (this.releaseLock !== null) return;
    // A second request of this thread's would wait for the first one for ever.
    this.lockOnItsWay ??= this.takeLock(options).finally(() => {
      this.lockOnItsWay = null;
    });
    return this.lockOnItsWay;
  }

  private async takeLock(options: LockOptions): Promise<void> {
    const { floor } = this.parts.core;
    const release = await holdForLife(findLocks(options.locks), lockNameOf(floor.geometry, floor.me), () => this.lockLost());
    if (!this.parts.core.attached) return release();
    this.releaseLock = release;
    floor.cells.i32[floor.slotWord + SLOT_HOST_LOCK] = floor.me;
  }

  /** Somebody stole the lock: that it is free says nothing any more. */
  private lockLost(): void {
    const { attached: isAttached, floor } = this.parts.core;
    this.releaseLock = null;
    if (isAttached) floor.cells.i32[floor.slotWord + SLOT_HOST_LOCK] = 0;
  }

  /** Does what other workers have asked of this one: to be called now and then by a thread that rarely frees. */
  poll(): void {
    this.check();
    const { core, recovery } = this.parts;
    core.floor.locks.mend();
    core.smr.mend();
    recovery.finishOwnFrames();
    this.parts.closing.finish();
    this.parts.waiting.leaveStale();
    finishUnfinished(core);
    for (const z of core.open) {
      // A zone whose hook is calling this is seen to when the hook is done.
      if (z === undefined || z.inHook > 0) continue;
      if (Atomics.load(core.floor.cells.i32, z.line + LINE_REASONS) !== 0) this.parts.services.attend(z);
    }
    // What attending to a zone had to leave, a lock being out of reach, is not left until the next call.
    recovery.finishOwnFrames();
  }

  /**
   * Gives memory of all zones but the unmanaged ones back.
   * @source FreeBSD uma.h uma_reclaim
   */
  reclaim(mode: ReclaimMode = "trim"): Reclaimed {
    this.check();
    if (mode !== "trim" && mode !== "drain" && mode !== "drain-cpu") {
      throw optionError("mode of reclaim", mode, '"trim", "drain" or "drain-cpu"');
    }
    return this.parts.reclaims.all(mode);
  }

  /**
   * One tick of maintenance: estimates working sets, gives back what has lain idle, lets buckets shrink.
   * @returns false when another thread did so less than a second ago.
   */
  tick(): boolean {
    this.check();
    return this.parts.reclaims.tick();
  }

  /**
   * Has ticks run by a timer that keeps no thread alive.
   * @param every - milliseconds; default 20 000, FreeBSD's.
   * @returns ends them when disposed of.
   */
  maintain(every: number = TICK_MS): Disposable {
    this.check();
    if (typeof every !== "number" || !(every >= 1)) throw optionError("every", every, "1 or more (milliseconds)");
    let timer: ReturnType<typeof setTimeout> | null = null;
    const next = (): void => {
      timer = setTimeout(() => {
        if (!this.parts.core.attached) return;
        this.parts.reclaims.tick();
        next();
      }, every);
      (timer as { unref?: () => void }).unref?.();
    };
    next();
    return {
      [Symbol.dispose]: () => {
        if (timer !== null) clearTimeout(timer);
      },
    };
  }

  /**
   * Sets how many bytes of the heap may be in use before memory counts as low: then, once a second at the most, the callbacks of
   * {@link onLowMemory} are called and all caches drained. Allocations go on. 0 = no limit.
   * @source FreeBSD uma.h uma_set_limit
   */
  setMemoryLimit(bytes: number): void {
    this.check();
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > 2 ** 31)
      throw optionError("bytes of setMemoryLimit", bytes, "an integer from 0 to 2147483648");
    this.parts.reclaims.setPageLimit(Math.ceil(bytes / PAGE_BYTES));
  }

  /** The limit that {@link setMemoryLimit} has set, rounded up to pages: bytes; 0 = none. @source FreeBSD uma.h uma_limit */
  get memoryLimit(): number {
    this.check();
    return this.parts.reclaims.pageLimit() * PAGE_BYTES;
  }

  /** Has `callback` called, with no lock held, when this thread finds memory low. @returns ends that. */
  onLowMemory(callback: () => void): () => void {
    this.check();
    if (typeof callback !== "function") throw optionError("callback of onLowMemory", callback, "a function");
    return this.parts.reclaims.onLowMemory(callback);
  }

  /** Checks every invariant. Sees all only while nobody is at work. */
  verify(): Verdict;
  /**
   * Checks what can be checked while others are at work, and says what could not be seen. Holds each lock for a bounded time.
   * @throws UmaError ERR_UMA_OPTION.
   */
  verify(options: OnlineOptions): OnlineVerdict;
  verify(options?: OnlineOptions): Verdict {
    if (options?.online !== true) return this.parts.verify();
    this.check();
    const { budget } = options;
    if (budget !== undefined && !(budget > 0 && budget <= 1000)) throw optionError("budget", budget, "above 0, to 1000 (milliseconds)");
    return this.parts.verifyOnline(options);
  }

  /** The outstanding items of a zone, each with the place where it was allocated (option `sites`), by whom and how long ago. */
  outstanding(zone: SiteZone): Generator<OutstandingItem, void, void> {
    this.check();
    return this.parts.core.sites.outstanding(zone);
  }

  /** The same grouped by call site, most items first: what leaks, also of workers that are dead. */
  sites(zone: SiteZone): SiteReport[] {
    this.check();
    return this.parts.core.sites.report(zone);
  }

  stats(): MemoryStatistics {
    return this.parts.statistics.ofMemory();
  }

  /** The table of `vmstat -z`, a line at a time. */
  table(): Generator<string, void, void> {
    return zoneTable(this.stats().zones);
  }

  /** The arenas of the memory. */
  get arenas(): Arenas {
    return this.parts.core.arenas;
  }

  /** The core, for what is built on zones inside this library. @internal */
  get core(): Core {
    return this.parts.core;
  }

  /**
   * Leaves the memory in order: closes all zones and frees the slot. Items that are still this worker's are dealt with as if it
   * had died: kept and reported, or freed, by each zone's policy. Not to be called from a ctor or dtor.
   * @returns what was left; `done` is false when a lock was out of reach: this thread is still attached then, call again.
   * @throws UmaError ERR_UMA_HOOK_RECURSION from within an init, fini, allocPages or freePages.
   */
  detach(): RecoveryReport {
    this.check();
    const { core, closing, recovery } = this.parts;
    const { floor } = core;
    for (const z of core.open) {
      if (z === undefined || z.inHook === 0) continue;
      throw new UmaError("ERR_UMA_HOOK_RECURSION", `detach from within a hook of zone "${z.name}"`, { zone: z.name });
    }
    floor.locks.mend();
    recovery.finishOwnFrames();
    const report = recovery.leave();
    for (const z of core.open) if (z !== undefined && !closing.close(z)) report.done = false;
    if (!closing.finish() || floor.intents.depth() > 0) report.done = false;
    if (!report.done) {
      floor.handing.setLeaving(false);
      return report;
    }
    this.end();
    floor.slots.retire(floor.me);
    this.releaseLock?.();
    return report;
  }

  /**
   * Leaves as {@link detach} does. If a lock is out of reach, what is left is for whoever reaps this slot by its number; the workers that
   * this thread has started go on.
   */
  [Symbol.dispose](): void {
    if (!this.parts.core.attached || this.detach().done) return;
    this.end();
    this.parts.core.floor.slots.leaveBehind(this.name);
    this.releaseLock?.();
  }

  private end(): void {
    endCore(this.parts.core);
    this.parts.waiting.end();
    attached.delete(this.key);
  }

  private nameIn(ticket: Ticket): number {
    const { idLow, idHigh } = this.parts.core.floor.geometry;
    if (typeof ticket === "object" && ticket !== null && ticket.idLow === idLow && ticket.idHigh === idHigh) return ticket.name;
    throw new UmaError("ERR_UMA_TICKET", "the ticket is of another memory, or none");
  }

  private reserve(): number {
    const { locks, slots, cells, me, patienceMs } = this.parts.core.floor;
    locks.mend();
    if (!locks.acquire(cells.base + SB_CONTROL_LOCK, patienceMs)) {
      throw new UmaError("ERR_UMA_BUSY", "no ticket: a lock could not be had in time; try again");
    }
    try {
      return slots.reserve(me);
    } finally {
      locks.release();
    }
  }

  private check(): void {
    if (!this.parts.core.attached) throw new UmaError("ERR_UMA_DETACHED", "this thread has detached from the memory");
  }
}

function checkSlot(slot: number, count: number): number {
  if (!Number.isInteger(slot) || slot < 1 || slot > count) throw optionError("slot", slot, `an integer from 1 to ${count}`);
  return slot;
}

function sliceOf({ slice = SLICE_MS }: ReapAsyncOptions): number {
  if (typeof slice !== "number" || !(slice > 0)) throw optionError("slice", slice, "a number above 0 (milliseconds)");
  return slice;
}

function checkPatience(patience: number): number {
  if (typeof patience !== "number" || !(patience >= 0) || patience > 60_000)
    throw optionError("patience", patience, "0 to 60000 (milliseconds)");
  return patience;
}

function keyOf(g: Geometry): string {
  return `${g.idLow}:${g.idHigh}:${g.base}`;
}
