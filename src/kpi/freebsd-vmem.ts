/**
 * FreeBSD's vmem(9) under its own names, thin over arenas. Out-parameters become return values: vmem_alloc returns the start, or
 * −1 for ENOMEM. What differs stands in docs/kpi-map.md, each with its reason.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { Arena, ArenaOptions } from "../backend/vmem/arena.ts";
import { type Constraints, type WithArenas, createArena } from "../backend/vmem/index.ts";
import { QCACHE_SIZES } from "../backend/vmem/quantum-cache.ts";
import type { FitOptions } from "../backend/vmem/request.ts";

export const M_NOWAIT = 0x0001;
export const M_WAITOK = 0x0002;
export const M_BESTFIT = 0x2000;
export const M_FIRSTFIT = 0x1000;
export const M_NEXTFIT = 0x8000;

export const VMEM_ADDR_MIN = 0;
export const VMEM_ADDR_MAX: number = Number.MAX_SAFE_INTEGER;
export const VMEM_ADDR_QCACHE_MIN = 1;

/** typemask of vmem_size */
export const VMEM_ALLOC = 0x01;
export const VMEM_FREE = 0x02;
export const VMEM_MAXFREE = 0x10;

export type vmem_t = Arena;
/** @returns the start of `size` integers; −1 = none. */
export type vmem_import_t = (arg: unknown, size: number, flags: number) => number;
export type vmem_release_t = (arg: unknown, addr: number, size: number) => void;

/**
 * @param memory - the memory to make it in, for all its workers; absent: of this thread alone.
 * @source FreeBSD subr_vmem.c vmem_create
 */
export function vmem_create(
  name: string,
  base: number,
  size: number,
  quantum: number,
  qcache_max: number,
  _flags: number,
  memory?: WithArenas,
): vmem_t {
  const options: ArenaOptions = {
    quantum,
    qcacheMax: Math.min(Math.floor(qcache_max / quantum), QCACHE_SIZES) * quantum,
    ...(size === 0 ? {} : { span: { start: base, size } }),
  };
  return memory === undefined ? createArena(name, options) : createArena(memory, name, options);
}

/** Asserts, by throwing ERR_VMEM_LEAK, that nothing is allocated. */
export function vmem_destroy(vm: vmem_t): void {
  vm.destroy();
}

/** @returns 0. */
export function vmem_add(vm: vmem_t, addr: number, size: number, _flags: number): number {
  vm.add(addr, size);
  return 0;
}

/** @returns the start; −1 (ENOMEM) with M_NOWAIT when there is none. M_WAITOK waits. @source FreeBSD subr_vmem.c vmem_alloc */
export function vmem_alloc(vm: vmem_t, size: number, flags: number): number {
  const start = vm.tryAlloc(size, strategy(flags));
  return start >= 0 || (flags & M_WAITOK) === 0 ? start : vm.allocWait(size, strategy(flags) ?? {});
}

/** @param maxaddr - the last integer allowed, as in FreeBSD's code. @source FreeBSD subr_vmem.c vmem_xalloc */
export function vmem_xalloc(
  vm: vmem_t,
  size: number,
  align: number,
  phase: number,
  nocross: number,
  minaddr: number,
  maxaddr: number,
  flags: number,
): number {
  const next = (flags & M_NEXTFIT) !== 0;
  if (next && (minaddr !== VMEM_ADDR_MIN || maxaddr !== VMEM_ADDR_MAX)) {
    throw new UmaError("ERR_VMEM_CONSTRAINT", `arena "${vm.name}": M_NEXTFIT takes neither minaddr nor maxaddr`, { zone: vm.name });
  }
  const constraints: Constraints = {
    align,
    phase,
    nocross,
    min: minaddr,
    max: maxaddr === VMEM_ADDR_MAX ? 0 : maxaddr + 1,
    ...strategy(flags),
  };
  const start = vm.tryXalloc(size, constraints);
  return start >= 0 || (flags & M_WAITOK) === 0 ? start : vm.xallocWait(size, constraints);
}

export function vmem_free(vm: vmem_t, addr: number, size: number): void {
  vm.free(addr, size);
}

export function vmem_xfree(vm: vmem_t, addr: number, size: number): void {
  vm.xfree(addr, size);
}

/** Only while the arena is empty. `import_quantum` is the least size of an import. */
export function vmem_set_import(
  vm: vmem_t,
  importfn: vmem_import_t,
  releasefn: vmem_release_t | null,
  arg: unknown,
  import_quantum: number,
): void {
  vm.setImport({
    import: (size, { mayWait }) => importfn(arg, size, mayWait ? M_WAITOK : M_NOWAIT),
    ...(releasefn === null ? {} : { release: (start, size) => releasefn(arg, start, size) }),
    importMin: import_quantum,
  });
}

export function vmem_set_limit(vm: vmem_t, limit: number): void {
  vm.setLimit(limit);
}

export function vmem_set_reclaim(vm: vmem_t, reclaimfn: ((vm: vmem_t, flags: number) => void) | null): void {
  vm.setReclaim(reclaimfn === null ? null : () => reclaimfn(vm, 0));
}

export function vmem_roundup_size(vm: vmem_t, size: number): number {
  return Math.ceil(size / vm.quantum) * vm.quantum;
}

export function vmem_size(vm: vmem_t, typemask: number): number {
  if (typemask === VMEM_ALLOC) return vm.size("alloc");
  if (typemask === VMEM_FREE) return vm.size("free");
  if (typemask === (VMEM_ALLOC | VMEM_FREE)) return vm.size("total");
  if (typemask === VMEM_MAXFREE) return vm.size("largest");
  throw new UmaError("ERR_UMA_OPTION", `vmem_size: unknown typemask ${typemask}`, { zone: vm.name, value: typemask });
}

/** What the integer belongs to, through `pr`. */
export function vmem_whatis(addr: number, vms: Iterable<vmem_t>, pr: (line: string) => void): void {
  for (const vm of vms) {
    const segment = vm.whatis(addr);
    if (segment !== null) pr(`${addr} is in [${segment.start}, ${segment.start + segment.size}) of arena "${vm.name}", ${segment.state}`);
  }
}

export function vmem_print(vm: vmem_t, pr: (line: string) => void): void {
  for (const line of vm.dump()) pr(line);
}

export function vmem_printall(vms: Iterable<vmem_t>, pr: (line: string) => void): void {
  for (const vm of vms) vmem_print(vm, pr);
}

function strategy(flags: number): FitOptions | undefined {
  if ((flags & M_NEXTFIT) !== 0) return { policy: "next" };
  // FreeBSD's M_FIRSTFIT is this library's instant fit: the first block of the first list where every block fits.
  return (flags & M_BESTFIT) !== 0 ? { policy: "best" } : undefined;
}
