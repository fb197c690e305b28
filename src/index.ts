/** zalloc: zones in shared memory for JavaScript threads. */
export { type UmaErrorCode, UmaCorruptionError, UmaError } from "./backend/memory/errors.ts";
export type { MemoryBuffer, WasmMemory } from "./backend/memory/buffer.ts";
export {
  type AllocPages,
  type FreePages,
  type PageRequest,
  SLAB_BOOT,
  SLAB_KMAP,
  SLAB_KMEM,
  SLAB_MALLOC,
  SLAB_OFFP,
  SLAB_PRIV,
} from "./backend/supplier/page-supplier.ts";
export { type DeathPolicy, type ZoneDefinition, type ZoneOptions, defineZone } from "./uma/definition.ts";
export type { Ctor, Dtor, Fini, Init, Views } from "./uma/hooks.ts";
export { type Malloc, createMalloc } from "./uma/malloc/malloc.ts";
export type { ClassStatistics, MallocStatistics } from "./uma/malloc/statistics.ts";
export type { Failure } from "./uma/outcome.ts";
export type { Leftovers, RecoveryReport } from "./uma/recovery.ts";
export { type MemoryStatistics, type WorkerStatistics, type ZoneStatistics, zoneTable } from "./uma/statistics.ts";
export { type AttachOptions, type CreateOptions, type ExitingWorker, type Ticket, Uma } from "./uma/uma.ts";
export type { Verdict } from "./uma/verify.ts";
export type { DestroyOptions, LeakReport, Reclaimed, Zone } from "./uma/zone.ts";
