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
export { type CacheOptions, type ImportItems, type ReleaseItems, defineCache } from "./uma/cache-zone.ts";
export type { DeathPolicy, ZoneDefinition, ZoneOptions } from "./uma/definition.ts";
export type { Ctor, Dtor, Fini, Init, Views } from "./uma/hooks.ts";
export { type Malloc, type MallocOptions, createMalloc } from "./uma/malloc/malloc.ts";
export type { ClassStatistics, MallocStatistics } from "./uma/malloc/statistics.ts";
export {
  type MallocType,
  type MallocTypes,
  type TypeCounters,
  type TypeStatistics,
  defineMallocType,
  openTypes,
} from "./uma/malloc/types.ts";
export type { ItemList } from "./uma/bulk.ts";
export type { WarningOptions } from "./uma/limits.ts";
export type { MapType } from "./uma/map/hash.ts";
export { type MapDefinition, type MapOptions, type SharedMap, defineMap, openMap } from "./uma/map/shared-map.ts";
export type { AdvanceMode, Smr } from "./uma/smr.ts";
export { type SecondaryOptions, defineSecondary } from "./uma/secondary.ts";
export { type PcpuZone, openPcpu } from "./uma/pcpu.ts";
export { type UmaNode, type VmstatZone, umaTree, umaTreeJson, vmstatJson, vmstatZones } from "./uma/sysctl.ts";
export type { Failure } from "./uma/outcome.ts";
export type { ReclaimMode } from "./uma/reclaim.ts";
export type { Leftovers, RecoveryReport } from "./uma/recovery-report.ts";
export { type MemoryStatistics, type WorkerStatistics, type ZoneStatistics, zoneTable } from "./uma/statistics.ts";
export type { Cells } from "./uma/typed/array.ts";
export {
  type ExtraOptions,
  type NamedDefinition,
  type TypedDefinition,
  type TypedOptions,
  type ViewOfZone,
  type ZoneOf,
  defineZone,
} from "./uma/typed/define.ts";
export type { FieldType, Handle, Item, Scalar } from "./uma/typed/field.ts";
export type { Handles } from "./uma/typed/handles.ts";
export { type ObjectZoneDefinition, type ObjectZoneOptions, defineObjectZone } from "./uma/typed/object-definition.ts";
export type { ObjectLeakReport } from "./uma/typed/object-tracking.ts";
export { type ObjectZone, type ObjectZoneStatistics, createObjectZone } from "./uma/typed/object-zone.ts";
export { bool, enumOf, f32, f64, i16, i32, i64, i8, ref, u16, u32, u64, u8 } from "./uma/typed/scalars.ts";
export { type Fields, type InputFields, type PlainFields, type Struct, array, struct } from "./uma/typed/struct.ts";
export { type TextOptions, text } from "./uma/typed/text.ts";
export type { Column, TypedZone, View } from "./uma/typed/zone.ts";
export type { ExitingWorker } from "./uma/hosts/node.ts";
export type { LocksLike } from "./uma/hosts/web.ts";
export type { OutstandingItem, SiteReport } from "./uma/sites.ts";
export type { Ticket } from "./uma/ticket.ts";
export { type AttachOptions, type CreateOptions, type LockOptions, type ReapAsyncOptions, Uma, type WatchLockOptions } from "./uma/uma.ts";
export type { OnlineOptions, OnlineVerdict } from "./uma/verify-online.ts";
export type { Verdict } from "./uma/verify.ts";
export type { AreaLeftover } from "./uma/vmalloc/areas.ts";
export type { MappedAccess, Piece } from "./uma/vmalloc/access.ts";
export { type ForeignBuffer, type IoMaps, createIoMaps } from "./uma/vmalloc/io.ts";
export {
  type AreaInfo,
  type Vmalloc,
  type VmallocOptions,
  type VmallocRequest,
  type VmallocStatistics,
  openVmalloc,
} from "./uma/vmalloc/vmalloc.ts";
export type { AsyncWaitOptions, WaitOptions } from "./uma/waiting.ts";
export type { DestroyOptions, LeakReport, Reclaimed, Zone } from "./uma/zone.ts";
