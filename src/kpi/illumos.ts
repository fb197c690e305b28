/**
 * illumos's vmem(9F) and id_space(9F) under their own names, thin over arenas: code written for them can be carried over line by
 * line. What differs stands in docs/kpi-map.md, each with its reason. A vmem_t is an arena, wherever it came from. Those made here
 * are local to the thread, unless a memory is named behind the original's arguments.
 *
 * NULL is −1, since 0 is an integer like any other. What panics in illumos throws a typed error here.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { Arena, ArenaOptions, ImportOptions } from "../backend/vmem/arena.ts";
import { type Constraints, type IdSpace, type Segment, type WithArenas, createArena, createIdSpace } from "../backend/vmem/index.ts";
import { QCACHE_SIZES } from "../backend/vmem/quantum-cache.ts";
import type { FitOptions } from "../backend/vmem/request.ts";

export const VM_SLEEP = 0x00000000;
export const VM_NOSLEEP = 0x00000001;
export const VM_PANIC = 0x00000002;
export const VM_PUSHPAGE = 0x00000004;
export const VM_KMFLAGS = 0x000000ff;
export const VM_BESTFIT = 0x00000100;
export const VM_FIRSTFIT = 0x00000200;
export const VM_NEXTFIT = 0x00000400;
export const VM_ABORT = 0x00002000;
export const VM_ENDALLOC = 0x00004000;

export const VMC_POPULATOR = 0x00010000;
export const VMC_NO_QCACHE = 0x00020000;
export const VMC_IDENTIFIER = 0x00040000;
export const VMC_XALLOC = 0x00080000;
export const VMC_XALIGN = 0x00100000;
export const VMC_DUMPSAFE = 0x00200000;

export const VMEM_ALLOC = 0x01;
export const VMEM_FREE = 0x02;
export const VMEM_REENTRANT = 0x80000000;

/** vmem_t */
export type vmem_t = Arena;
/** afunc of vmem_create. @returns the start of `size` integers; −1 = none. */
export type vmem_alloc_t = (source: vmem_t | null, size: number, vmflag: number) => number;
export type vmem_free_t = (source: vmem_t | null, start: number, size: number) => void;
/** afunc of vmem_xcreate: may give more than asked for. */
export type vmem_ximport_t = (
  source: vmem_t | null,
  size: number,
  align: number,
  vmflag: number,
) => number | { readonly start: number; readonly size: number };

/**
 * @param base - start of the first span, with `size`; size 0 = none.
 * @param memory - the memory to make it in, for all its workers; absent: of this thread alone.
 * @param afunc - usually `vmem_alloc`, with `ffunc` `vmem_free` and `source`.
 * @throws UmaError where illumos panics. VM_NOSLEEP never waits here, and neither does anything else.
 * @source illumos vmem.c vmem_create
 */
export function vmem_create(
  name: string,
  base: number,
  size: number,
  quantum: number,
  afunc: vmem_alloc_t | null,
  ffunc: vmem_free_t | null,
  source: vmem_t | null,
  qcache_max: number,
  vmflag: number,
  memory?: WithArenas,
): vmem_t {
  // vmem_alloc and vmem_free as functions are what a source does by itself.
  const own = afunc === null || afunc === vmem_alloc ? null : (amount: number, flag: number): number => afunc(source, amount, flag);
  return make(
    name,
    base,
    size,
    quantum,
    own === null ? null : (amount, { mayWait }) => own(amount, mayWait ? VM_SLEEP : VM_NOSLEEP),
    ffunc,
    source,
    afunc !== null,
    qcache_max,
    vmflag,
    memory,
  );
}

/** As vmem_create; `afunc` is told the alignment and may give more. @source illumos vmem.c vmem_xcreate */
export function vmem_xcreate(
  name: string,
  base: number,
  size: number,
  quantum: number,
  afunc: vmem_ximport_t,
  ffunc: vmem_free_t | null,
  source: vmem_t | null,
  qcache_max: number,
  vmflag: number,
  memory?: WithArenas,
): vmem_t {
  return make(
    name,
    base,
    size,
    quantum,
    (amount, { align, mayWait }) => afunc(source, amount, align, mayWait ? VM_SLEEP : VM_NOSLEEP),
    ffunc,
    source,
    true,
    qcache_max,
    vmflag | VMC_XALLOC,
    memory,
  );
}

function make(
  name: string,
  base: number,
  size: number,
  quantum: number,
  take: ImportOptions["import"] | null,
  ffunc: vmem_free_t | null,
  source: vmem_t | null,
  imports: boolean,
  qcache_max: number,
  vmflag: number,
  memory: WithArenas | undefined,
): vmem_t {
  const noCache = (vmflag & VMC_NO_QCACHE) !== 0;
  const functions =
    take === null || take === undefined
      ? {}
      : {
          import: take,
          // Without ffunc, spans stay.
          ...(ffunc === null ? {} : { release: (start: number, amount: number): void => ffunc(source, start, amount) }),
        };
  const options: ArenaOptions = {
    quantum,
    identifiers: (vmflag & VMC_IDENTIFIER) !== 0,
    ...(size === 0 ? {} : { span: { start: base, size } }),
    ...(source === null || !imports ? {} : { source }),
    ...functions,
    importAligned: (vmflag & VMC_XALIGN) !== 0,
    ...(noCache ? { importMin: qcache_max } : { qcacheMax: Math.min(Math.floor(qcache_max / quantum), QCACHE_SIZES) * quantum }),
  };
  return memory === undefined ? createArena(name, options) : createArena(memory, name, options);
}

/** Warns of what leaks, as illumos does, and ends the arena all the same. @returns integers leaked. */
export function vmem_destroy(vmp: vmem_t): number {
  return vmp.destroy({ force: true }).size;
}

/** @returns the start; −1 with VM_NOSLEEP when there is none. @source illumos vmem.c vmem_alloc */
export function vmem_alloc(vmp: vmem_t | null, size: number, vmflag: number): number {
  const arena = needed(vmp);
  if ((vmflag & (VM_NOSLEEP | VM_ABORT)) !== 0) return arena.tryAlloc(size, policy(vmflag));
  if ((vmflag & VM_PANIC) !== 0) return arena.alloc(size, policy(vmflag));
  const start = arena.tryAlloc(size, policy(vmflag));
  return start >= 0 ? start : arena.allocWait(size, policy(vmflag) ?? {});
}

/** min and max of 0 mean none. @source illumos vmem.c vmem_xalloc */
export function vmem_xalloc(
  vmp: vmem_t,
  size: number,
  align: number,
  phase: number,
  nocross: number,
  minaddr: number,
  maxaddr: number,
  vmflag: number,
): number {
  const constraints: Constraints = { align, phase, nocross, min: minaddr, max: maxaddr, ...policy(vmflag) };
  if ((vmflag & (VM_NOSLEEP | VM_ABORT)) !== 0) return vmp.tryXalloc(size, constraints);
  if ((vmflag & VM_PANIC) !== 0) return vmp.xalloc(size, constraints);
  const start = vmp.tryXalloc(size, constraints);
  return start >= 0 ? start : vmp.xallocWait(size, constraints);
}

export function vmem_free(vmp: vmem_t | null, vaddr: number, size: number): void {
  needed(vmp).free(vaddr, size);
}

export function vmem_xfree(vmp: vmem_t, vaddr: number, size: number): void {
  vmp.xfree(vaddr, size);
}

/** @returns vaddr. */
export function vmem_add(vmp: vmem_t, vaddr: number, size: number, _vmflag: number): number {
  vmp.add(vaddr, size);
  return vaddr;
}

export function vmem_contains(vmp: vmem_t, vaddr: number, size: number): boolean {
  return vmp.contains(vaddr, size);
}

/** @param typemask - VMEM_ALLOC, VMEM_FREE or both. */
export function vmem_size(vmp: vmem_t, typemask: number): number {
  return ((typemask & VMEM_ALLOC) !== 0 ? vmp.size("alloc") : 0) + ((typemask & VMEM_FREE) !== 0 ? vmp.size("free") : 0);
}

/** @param typemask - VMEM_ALLOC, VMEM_FREE, and VMEM_REENTRANT for a walk that holds nothing. */
export function vmem_walk(vmp: vmem_t, typemask: number, func: (arg: unknown, start: number, size: number) => void, arg: unknown): void {
  const both = (typemask & (VMEM_ALLOC | VMEM_FREE)) === (VMEM_ALLOC | VMEM_FREE);
  const which = both ? "all" : (typemask & VMEM_ALLOC) !== 0 ? "alloc" : "free";
  const show = ({ start, size }: Segment): void => func(arg, start, size);
  vmp.walk(show, { which, snapshot: (typemask & VMEM_REENTRANT) === 0 });
}

/** Gives back what quantum caches hold. @source illumos vmem.c vmem_qcache_reap */
export function vmem_qcache_reap(vmp: vmem_t): void {
  vmp.reap();
}

function needed(vmp: vmem_t | null): vmem_t {
  if (vmp === null) throw new UmaError("ERR_UMA_OPTION", "vmem_alloc and vmem_free need an arena");
  return vmp;
}

function policy(vmflag: number): FitOptions | undefined {
  const next = (vmflag & VM_NEXTFIT) !== 0;
  const fit = next ? "next" : (vmflag & VM_BESTFIT) !== 0 ? "best" : (vmflag & VM_FIRSTFIT) !== 0 ? "first" : "instant";
  // With VM_NEXTFIT illumos ignores VM_ENDALLOC.
  const end = (vmflag & VM_ENDALLOC) !== 0 && !next;
  return fit === "instant" && !end ? undefined : { policy: fit, end };
}

/** id_space_t */
export type id_space_t = IdSpace;

/**
 * The identifiers [low, high).
 * @param memory - the memory to make it in, for all its workers; absent: of this thread alone.
 * @source illumos id_space.c
 */
export function id_space_create(name: string, low: number, high: number, memory?: WithArenas): id_space_t {
  return createIdSpace(name, low, high, memory);
}

export function id_space_extend(isp: id_space_t, low: number, high: number): void {
  isp.extend(low, high);
}

/** Sleeps until one is freed. @throws UmaError ERR_VMEM_NOID where nobody else could free one, or this thread may not block. */
export function id_alloc(isp: id_space_t): number {
  const id = isp.tryAlloc();
  return id >= 0 ? id : slept(isp, () => isp.allocWait());
}

/** Without anybody who could free one, running out is the end. */
function slept(isp: id_space_t, wait: () => number): number {
  try {
    return wait();
  } catch (thrown) {
    if (thrown instanceof UmaError && thrown.code === "ERR_UMA_WAIT_HERE") return isp.alloc();
    throw thrown;
  }
}

export function id_alloc_nosleep(isp: id_space_t): number {
  return isp.tryAlloc();
}

export function id_allocff(isp: id_space_t): number {
  const id = isp.tryAllocFirst();
  return id >= 0 ? id : slept(isp, () => isp.allocFirstWait());
}

export function id_allocff_nosleep(isp: id_space_t): number {
  return isp.tryAllocFirst();
}

export function id_alloc_specific_nosleep(isp: id_space_t, id: number): number {
  return isp.tryAllocSpecific(id);
}

export function id_free(isp: id_space_t, id: number): void {
  isp.free(id);
}

/** @returns identifiers leaked. */
export function id_space_destroy(isp: id_space_t): number {
  return isp.destroy({ force: true });
}
