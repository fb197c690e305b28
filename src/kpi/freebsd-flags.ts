/** The constants of FreeBSD's uma.h and malloc.h. Their values are this library's; three flags of 2002 that are gone today have bits of their own. */

/** Wait flags, malloc.h. */
export const M_NOWAIT = 0x0001;
export const M_WAITOK = 0x0002;
export const M_ZERO = 0x0100;
export const M_NOVM = 0x0200;
export const M_USE_RESERVE = 0x0400;

/** Zone flags. The three of 2002 that are gone today have bits of their own here. */
export const UMA_ZONE_UNMANAGED = 0x0001;
export const UMA_ZONE_ZINIT = 0x0002;
export const UMA_ZONE_CONTIG = 0x0004;
export const UMA_ZONE_NOTOUCH = 0x0008;
export const UMA_ZONE_MALLOC = 0x0010;
export const UMA_ZONE_NOFREE = 0x0020;
export const UMA_ZONE_MTXCLASS = 0x0040;
export const UMA_ZONE_VM = 0x0080;
export const UMA_ZONE_NOTPAGE = 0x0100;
/** Set of zones that `uma_zsecond_create` made. */
export const UMA_ZONE_SECONDARY = 0x0200;
export const UMA_ZONE_NOBUCKET = 0x0400;
export const UMA_ZONE_MAXBUCKET = 0x0800;
export const UMA_ZONE_CACHESPREAD = 0x2000;
export const UMA_ZONE_NODUMP = 0x4000;
export const UMA_ZONE_PCPU = 0x8000;
export const UMA_ZONE_FIRSTTOUCH = 0x10000;
export const UMA_ZONE_ROUNDROBIN = 0x20000;
export const UMA_ZONE_SMR = 0x40000;
export const UMA_ZONE_NOKASAN = 0x80000;
export const UMA_ZONE_PAGEABLE = 0x100000;
export const UMA_ZONE_STATIC = 0x200000;
export const UMA_ZONE_OFFPAGE = 0x400000;

/** Alignments, as masks. */
export const UMA_ALIGN_PTR: number = 4 - 1;
export const UMA_ALIGN_LONG: number = 8 - 1;
export const UMA_ALIGN_INT: number = 4 - 1;
export const UMA_ALIGN_SHORT: number = 2 - 1;
export const UMA_ALIGN_CHAR: number = 1 - 1;
/** A cache line of 64 bytes, unless `uma_set_cache_align_mask` says otherwise. */
export const UMA_ALIGN_CACHE: number = 64 - 1;
/** A cache line, and at least what `mask` asks for. */
export const UMA_ALIGN_CACHE_AND_MASK = (mask: number): number => UMA_ALIGN_CACHE | mask;
/** The mask of an alignment in bytes (C's `_Alignof`). */
export const UMA_ALIGNOF = (bytes: number): number => bytes - 1;
export const UMA_SMALLEST_UNIT = 16;
/** Any memory domain: there is one, number 0. */
export const UMA_ANYDOMAIN = -1;

/** Flags of a slab's pages, for allocf and freef. */
export const UMA_SLAB_BOOT = 0x01;
export const UMA_SLAB_KMEM = 0x02;
export const UMA_SLAB_KERNEL = 0x02;
export const UMA_SLAB_KMAP = 0x04;
export const UMA_SLAB_PRIV = 0x08;
export const UMA_SLAB_OFFP = 0x10;
export const UMA_SLAB_MALLOC = 0x20;

/** Depths of a reclaim. */
export const UMA_RECLAIM_DRAIN = 1;
export const UMA_RECLAIM_DRAIN_CPU = 2;
export const UMA_RECLAIM_TRIM = 3;

/** errno.h */
export const EWOULDBLOCK = 35;
