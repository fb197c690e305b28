/** docs/kpi-map.md names everything: each name of uma.h, of 2002 and of today, and each name that the module exports. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import * as freebsd from "../../src/kpi/freebsd.ts";

const page = readFileSync(new URL("../../docs/kpi-map.md", import.meta.url), "utf8");

/** The names of sys/vm/uma.h as it came in 2002. */
const OF_2002 = `uma_ctor uma_dtor uma_init uma_fini uma_alloc uma_free uma_zcreate uma_zdestroy uma_zalloc uma_zalloc_arg uma_zfree
  uma_zfree_arg uma_startup uma_startup2 uma_reclaim uma_zone_set_obj uma_zone_set_allocf uma_zone_set_freef uma_prealloc
  UMA_SMALLEST_UNIT UMA_ZONE_PAGEABLE UMA_ZONE_ZINIT UMA_ZONE_STATIC UMA_ZONE_OFFPAGE UMA_ZONE_MALLOC UMA_ZONE_NOFREE
  UMA_ALIGN_PTR UMA_ALIGN_LONG UMA_ALIGN_INT UMA_ALIGN_SHORT UMA_ALIGN_CHAR UMA_ALIGN_CACHE
  UMA_SLAB_BOOT UMA_SLAB_KMEM UMA_SLAB_KMAP UMA_SLAB_PRIV UMA_SLAB_OFFP UMA_SLAB_MALLOC`;

/** Those of today's. */
const OF_TODAY = `uma_ctor uma_dtor uma_init uma_fini uma_import uma_release uma_alloc uma_free uma_maxaction_t
  uma_zcreate uma_zsecond_create uma_zcache_create uma_zdestroy uma_zalloc_arg uma_zalloc_pcpu_arg uma_zalloc_smr uma_zalloc_domain
  uma_zalloc uma_zalloc_pcpu uma_zfree_arg uma_zfree_pcpu_arg uma_zfree_smr uma_zfree uma_zfree_pcpu uma_zwait
  uma_startup1 uma_startup2 uma_reclaim uma_reclaim_domain uma_zone_reclaim uma_zone_reclaim_domain uma_set_cache_align_mask
  uma_get_cache_align_mask uma_zone_reserve uma_zone_reserve_kva uma_zone_set_max uma_zone_set_maxcache uma_zone_get_max
  uma_zone_get_cur uma_zone_set_warning uma_zone_set_maxaction uma_zone_set_init uma_zone_set_fini uma_zone_set_zinit
  uma_zone_set_zfini uma_zone_set_allocf uma_zone_set_freef uma_zone_set_smr uma_zone_get_smr uma_prealloc uma_zone_exhausted
  uma_zone_memory uma_limit uma_set_limit uma_size uma_avail uma_reclaim_wakeup
  pcpu_zone_4 pcpu_zone_8 pcpu_zone_16 pcpu_zone_32 pcpu_zone_64 SYSCTL_UMA_MAX SYSCTL_ADD_UMA_MAX SYSCTL_UMA_CUR SYSCTL_ADD_UMA_CUR
  UMA_ZONE_UNMANAGED UMA_ZONE_ZINIT UMA_ZONE_CONTIG UMA_ZONE_NOTOUCH UMA_ZONE_MALLOC UMA_ZONE_NOFREE UMA_ZONE_MTXCLASS UMA_ZONE_VM
  UMA_ZONE_NOTPAGE UMA_ZONE_SECONDARY UMA_ZONE_NOBUCKET UMA_ZONE_MAXBUCKET UMA_ZONE_CACHESPREAD UMA_ZONE_NODUMP UMA_ZONE_PCPU
  UMA_ZONE_FIRSTTOUCH UMA_ZONE_ROUNDROBIN UMA_ZONE_SMR UMA_ZONE_NOKASAN UMA_ALIGN_CACHE UMA_ALIGN_CACHE_AND_MASK UMA_ALIGNOF
  UMA_ANYDOMAIN UMA_SLAB_BOOT UMA_SLAB_KERNEL UMA_SLAB_PRIV UMA_RECLAIM_DRAIN UMA_RECLAIM_DRAIN_CPU UMA_RECLAIM_TRIM`;

const listed = (names: string): string[] => names.split(/\s+/);
const missing = (names: readonly string[]): string[] =>
  names.filter((name) => !page.includes(`\`${name}\``) && !page.includes(`\`${name}(`));

test.each([
  ["2002", OF_2002],
  ["today", OF_TODAY],
])("docs/kpi-map.md has every name of uma.h of %s", (_when, names) => {
  expect(listed(names).length).toBeGreaterThan(30);
  expect(missing(listed(names))).toEqual([]);
});

test("what is not a type is there under its own name", () => {
  const uma = Uma.create({ bytes: 2 ** 20 });
  const known = new Set([...Object.keys(freebsd), ...Object.keys(freebsd.createFreebsdUma(uma))]);
  // Types, and the forms that hang a value into a tree that is not here.
  const others = new Set(listed("uma_ctor uma_dtor uma_init uma_fini uma_alloc uma_free uma_import uma_release uma_maxaction_t"));
  const absent = listed(`${OF_2002} ${OF_TODAY}`).filter((name) => !known.has(name) && !others.has(name) && !name.startsWith("SYSCTL_ADD"));
  expect(absent).toEqual([]);
  uma.detach();
});

test("every name that kpi/freebsd exports, or gives for a memory, stands in docs/kpi-map.md", () => {
  const uma = Uma.create({ bytes: 2 ** 20 });
  const names = [...Object.keys(freebsd), ...Object.keys(freebsd.createFreebsdUma(uma))].filter(
    (name) => name !== "uma" && name !== "createFreebsdUma",
  );
  expect(names.length).toBeGreaterThan(100);
  expect(missing(names)).toEqual([]);
  expect(page).not.toContain("**missing**");
  uma.detach();
});
