import { describe, expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import * as bsd from "../../src/kpi/freebsd-vmem.ts";
import * as sun from "../../src/kpi/illumos.ts";
import { codeOf } from "../fixtures/codes.ts";

describe("illumos's names", () => {
  test("make a tree of arenas, allocate through it, and give it all back", () => {
    const heap = sun.vmem_create("heap", 4096, 65536, 4096, null, null, null, 0, sun.VM_SLEEP);
    const va = sun.vmem_create("kmem_va", 0, 0, 64, sun.vmem_alloc, sun.vmem_free, heap, 0, sun.VM_SLEEP);
    const a = sun.vmem_alloc(va, 100, sun.VM_NOSLEEP | sun.VM_BESTFIT);
    expect(sun.vmem_contains(heap, a, 128)).toBe(true);
    expect(sun.vmem_size(heap, sun.VMEM_ALLOC)).toBe(4096);
    sun.vmem_free(va, a, 100);
    expect(sun.vmem_size(heap, sun.VMEM_ALLOC)).toBe(0);
    expect(sun.vmem_destroy(va)).toBe(0);
    expect(sun.vmem_destroy(heap)).toBe(0);
  });

  test("import by functions that may give more", () => {
    const given: number[] = [];
    const arena = sun.vmem_xcreate(
      "x",
      0,
      0,
      16,
      (_source, size, align, flag) => {
        expect([align, flag]).toEqual([64, sun.VM_NOSLEEP]);
        return { start: 1024, size: size * 2 };
      },
      (_source, start, size) => void given.push(start, size),
      null,
      0,
      sun.VMC_XALIGN,
    );
    const a = sun.vmem_xalloc(arena, 32, 64, 0, 0, 0, 0, sun.VM_NOSLEEP);
    expect(a).toBe(1024);
    sun.vmem_xfree(arena, a, 32);
    expect(given).toEqual([1024, 64]);
  });

  test("constrain, walk and say no as the originals do", () => {
    const arena = sun.vmem_create("a", 0, 100, 1, null, null, null, 0, 0);
    expect(sun.vmem_xalloc(arena, 5, 8, 3, 16, 40, 60, sun.VM_NOSLEEP)).toBe(43);
    expect(sun.vmem_alloc(arena, 200, sun.VM_NOSLEEP)).toBe(-1);
    expect(codeOf(() => sun.vmem_alloc(arena, 200, sun.VM_SLEEP))).toBe("ERR_VMEM_NOSPACE");
    expect(codeOf(() => sun.vmem_alloc(arena, 200, sun.VM_PANIC))).toBe("ERR_VMEM_NOSPACE");
    expect(sun.vmem_add(arena, 1000, 8, 0)).toBe(1000);
    for (const mask of [sun.VMEM_ALLOC, sun.VMEM_ALLOC | sun.VMEM_REENTRANT]) {
      const seen: unknown[] = [];
      sun.vmem_walk(arena, mask, (arg, start, size) => void seen.push(arg, start, size), "arg");
      expect(seen).toEqual(["arg", 43, 5]);
    }
    expect(sun.vmem_size(arena, sun.VMEM_ALLOC | sun.VMEM_FREE)).toBe(108);
    expect(sun.vmem_alloc(arena, 2, sun.VM_NEXTFIT | sun.VM_ENDALLOC)).toBe(0);
    expect(sun.vmem_destroy(arena)).toBe(7);
  });

  test("name things by identifiers", () => {
    const ids = sun.id_space_create("ids", 1, 4);
    expect([sun.id_alloc(ids), sun.id_alloc(ids)]).toEqual([1, 2]);
    sun.id_free(ids, 1);
    expect(sun.id_alloc(ids)).toBe(3);
    expect(sun.id_allocff(ids)).toBe(1);
    expect(sun.id_alloc_nosleep(ids)).toBe(-1);
    expect(sun.id_allocff_nosleep(ids)).toBe(-1);
    expect(codeOf(() => sun.id_alloc(ids))).toBe("ERR_VMEM_NOID");
    sun.id_space_extend(ids, 10, 12);
    expect(sun.id_alloc_specific_nosleep(ids, 11)).toBe(11);
    expect(sun.id_alloc_specific_nosleep(ids, 11)).toBe(-1);
    expect(sun.id_alloc_specific_nosleep(ids, 99)).toBe(-1);
    sun.id_free(ids, 11);
    expect(codeOf(() => sun.id_free(ids, 11))).toBe("ERR_VMEM_UNKNOWN");
    expect(sun.id_space_destroy(ids)).toBe(3);
  });
});

describe("in a memory that is named", () => {
  test("illumos's arenas and identifiers are all its workers'", () => {
    using uma = Uma.create({ bytes: 2 ** 20 });
    const heap = sun.vmem_create("root", 0, 65536, 64, null, null, null, 0, sun.VM_SLEEP, uma);
    const va = sun.vmem_create("va", 0, 0, 16, sun.vmem_alloc, sun.vmem_free, heap, 100, sun.VM_SLEEP, uma);
    expect(uma.arenas.list()).toEqual(["root", "va"]);
    // Quantum caches serve whole quanta: 96 of 100.
    expect(va.qcacheMax).toBe(96);
    const a = sun.vmem_alloc(va, 30, sun.VM_NOSLEEP);
    expect(uma.arenas.open("va").whatis(a)?.state).toBe("cache");
    sun.vmem_free(va, a, 30);
    sun.vmem_qcache_reap(va);
    expect(sun.vmem_size(heap, sun.VMEM_ALLOC)).toBe(0);
    const ids = sun.id_space_create("ids", 1, 2, uma);
    expect(sun.id_alloc(ids)).toBe(1);
    expect([sun.id_alloc_nosleep(ids), sun.id_allocff_nosleep(ids)]).toEqual([-1, -1]);
    expect(uma.arenas.list()).toContain("ids");
    expect(sun.id_space_destroy(ids)).toBe(1);
    expect(uma.verify().problems).toEqual([]);
  });

  test("FreeBSD's arenas are all its workers'", () => {
    using uma = Uma.create({ bytes: 2 ** 20 });
    const vm = bsd.vmem_create("vm", 0, 4096, 4, 64, bsd.M_WAITOK, uma);
    const a = bsd.vmem_alloc(vm, 12, bsd.M_WAITOK);
    expect(uma.arenas.open("vm").whatis(a)?.state).toBe("cache");
    bsd.vmem_free(vm, a, 12);
    bsd.vmem_destroy(vm);
    expect(uma.arenas.list()).toEqual([]);
    expect(uma.verify().problems).toEqual([]);
  });
});

describe("FreeBSD's vmem names", () => {
  test("allocate, constrain (maxaddr inclusive) and free", () => {
    const vm = bsd.vmem_create("vm", 0, 128, 4, 0, bsd.M_WAITOK);
    const a = bsd.vmem_alloc(vm, 10, bsd.M_FIRSTFIT | bsd.M_NOWAIT);
    expect(bsd.vmem_size(vm, bsd.VMEM_ALLOC)).toBe(bsd.vmem_roundup_size(vm, 10));
    const x = bsd.vmem_xalloc(vm, 8, 16, 4, 0, 100, 111, bsd.M_BESTFIT | bsd.M_NOWAIT);
    expect(x).toBe(100);
    expect(codeOf(() => bsd.vmem_xalloc(vm, 8, 0, 0, 0, 4, 100, bsd.M_NEXTFIT))).toBe("ERR_VMEM_CONSTRAINT");
    expect(bsd.vmem_alloc(vm, 1000, bsd.M_NOWAIT)).toBe(-1);
    const lines: string[] = [];
    bsd.vmem_whatis(x + 1, [vm], (line) => void lines.push(line));
    expect(lines).toHaveLength(1);
    bsd.vmem_printall([vm], (line) => void lines.push(line));
    expect(lines.length).toBeGreaterThan(4);
    expect(codeOf(() => bsd.vmem_destroy(vm))).toBe("ERR_VMEM_LEAK");
    bsd.vmem_xfree(vm, x, 8);
    bsd.vmem_free(vm, a, 10);
    expect(bsd.vmem_size(vm, bsd.VMEM_MAXFREE)).toBe(128);
    bsd.vmem_destroy(vm);
  });

  test("import in import_quantum, up to the limit, after reclaim", () => {
    const vm = bsd.vmem_create("vm", 0, 0, 1, 0, 0);
    let next = 0;
    let reclaims = 0;
    const back: unknown[] = [];
    bsd.vmem_set_import(
      vm,
      (arg) => {
        expect(arg).toBe("arg");
        next += 1000;
        return next - 1000;
      },
      (arg, at, size) => void back.push(arg, at, size),
      "arg",
      64,
    );
    bsd.vmem_set_limit(vm, 64);
    bsd.vmem_set_reclaim(vm, () => void reclaims++);
    const a = bsd.vmem_alloc(vm, 10, bsd.M_NOWAIT);
    expect(bsd.vmem_size(vm, bsd.VMEM_ALLOC | bsd.VMEM_FREE)).toBe(64);
    expect(bsd.vmem_alloc(vm, 60, bsd.M_NOWAIT)).toBe(-1);
    expect(reclaims).toBe(1);
    bsd.vmem_free(vm, a, 10);
    expect(back).toEqual(["arg", 0, 64]);
  });
});
