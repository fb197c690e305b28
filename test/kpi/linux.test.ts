/** Linux's names: contracts as in slab.h, gfp.h, vmalloc.h and io.h, and the drawing of ioremap in Linux Device Drivers. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import {
  GFP_ATOMIC,
  GFP_KERNEL,
  GFP_NOWAIT,
  type Linux,
  PAGE_SIZE,
  __GFP_NOFAIL,
  __GFP_ZERO,
  createLinux,
  vmallocinfo_line,
} from "../../src/kpi/linux.ts";
import { codeOf } from "../fixtures/codes.ts";

const MiB = 2 ** 20;
let uma: Uma;
let k: Linux;

beforeEach(() => {
  uma = Uma.create({ bytes: 8 * MiB, workers: 4, patience: 20 });
  k = createLinux(uma, { warnBytes: 0 });
});

afterEach(() => {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

describe("kmalloc", () => {
  test.each([GFP_KERNEL, GFP_NOWAIT, GFP_ATOMIC, GFP_KERNEL | __GFP_NOFAIL])("with flags %d gives what kfree takes back", (flags) => {
    for (const size of [1, 100, 8192, 8193, 100_000]) {
      const p = k.kmalloc(size, flags | __GFP_ZERO);
      expect(k.ksize(p)).toBeGreaterThanOrEqual(size);
      expect(uma.views.u8.subarray(p, p + size).every((byte) => byte === 0)).toBe(true);
      uma.views.u8.fill(0xff, p, p + size);
      k.kfree(p);
    }
    k.kfree(0);
  });

  test("krealloc keeps the contents, zeroes what is new on demand, and frees at size 0", () => {
    const p = k.kzalloc(100, GFP_KERNEL);
    uma.views.u8.fill(7, p, p + 100);
    const q = k.krealloc(p, 20_000, GFP_KERNEL | __GFP_ZERO);
    expect(uma.views.u8[q + 99]).toBe(7);
    expect(uma.views.u8.subarray(q + 112, q + 20_000).every((byte) => byte === 0)).toBe(true);
    expect(k.krealloc(q, 0, GFP_KERNEL)).toBe(0);
    expect(codeOf(() => k.krealloc(q, 10, GFP_KERNEL))).toBe("ERR_UMA_ADDRESS");
    expect(k.krealloc(0, 10, GFP_NOWAIT)).toBeGreaterThan(0);
  });

  test("kcalloc refuses a product that is no size, and NULL is the answer when there is no memory", () => {
    expect(codeOf(() => k.kcalloc(2 ** 20, 2 ** 20, GFP_KERNEL))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.kmalloc(-1, GFP_KERNEL))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.kmalloc(10, -1))).toBe("ERR_UMA_OPTION");
    const half = k.kmalloc(5 * MiB, GFP_KERNEL);
    expect(k.kmalloc(5 * MiB, GFP_KERNEL)).toBe(0);
    const wall = k.kmalloc(MiB, GFP_KERNEL);
    expect(k.krealloc(half, 7 * MiB, GFP_KERNEL)).toBe(0);
    k.kfree(wall);
    expect(k.ksize(half)).toBe(5 * MiB);
    expect(k.kmalloc(100_000, GFP_NOWAIT)).toBeGreaterThan(0);
  });
});

describe("get_free_pages", () => {
  test("gives 2^order pages at a multiple of their length, and takes them back by that order only", () => {
    const taken = [0, 3, 1, 6, 4].map((order) => {
      const p = k.__get_free_pages(GFP_KERNEL, order);
      expect(p % (PAGE_SIZE << order)).toBe(0);
      return { p, order };
    });
    for (const { p, order } of taken) {
      expect(codeOf(() => k.free_pages(p, order + 1))).toBe("ERR_VMEM_SIZE");
      if (order > 0) expect(codeOf(() => k.free_pages(p + PAGE_SIZE, order))).toBe("ERR_UMA_ADDRESS");
      k.free_pages(p, order);
      expect(codeOf(() => k.free_pages(p, order))).toBe("ERR_UMA_ADDRESS");
    }
    expect(codeOf(() => k.__get_free_pages(GFP_KERNEL, 11))).toBe("ERR_UMA_OPTION");
    const zeroed = k.get_zeroed_page(GFP_NOWAIT);
    expect(uma.views.u8.subarray(zeroed, zeroed + PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
    k.free_page(zeroed);
    const item = k.kmalloc(PAGE_SIZE, GFP_KERNEL);
    expect(codeOf(() => k.free_page(item))).toBe("ERR_VMEM_KIND");
    k.kfree(item);
  });
});

describe("vmalloc", () => {
  test("serves where no stretch is long enough for get_free_pages", () => {
    const pages: number[] = [];
    for (let p = k.__get_free_page(GFP_KERNEL); p !== 0; p = k.__get_free_page(GFP_KERNEL)) pages.push(p);
    pages.sort((one, other) => one - other);
    for (let n = 0; n < pages.length; n += 2) k.free_page(pages[n] as number);
    expect(k.__get_free_pages(GFP_KERNEL, 2)).toBe(0);
    expect(k.kmalloc(64 * PAGE_SIZE, GFP_KERNEL)).toBe(0);
    const p = k.vzalloc(64 * PAGE_SIZE);
    expect(k.is_vmalloc_addr(p)).toBe(true);
    expect(k.is_vmalloc_addr(pages[1] as number)).toBe(false);
    expect(k.vmalloc_to_page(p + 5000) % PAGE_SIZE).toBe(0);
    expect(k.vmalloc_to_pfn(p)).toBe(k.vmalloc_to_page(p) / PAGE_SIZE);
    k.mem.setU32(p + 63 * PAGE_SIZE, 77);
    expect(k.mem.getU32(p + 63 * PAGE_SIZE)).toBe(77);
    const either = k.kvmalloc(32 * PAGE_SIZE, GFP_KERNEL);
    expect(k.is_vmalloc_addr(either)).toBe(true);
    k.kvfree(either);
    k.vfree(p);
    for (let n = 1; n < pages.length; n += 2) k.free_page(pages[n] as number);
    const direct = k.kvzalloc(32 * PAGE_SIZE, GFP_KERNEL);
    expect(k.is_vmalloc_addr(direct)).toBe(false);
    k.kvfree(direct);
  });

  test("takes no address that another call gave", () => {
    const p = k.vmalloc(3 * PAGE_SIZE);
    const q = k.kmalloc(100, GFP_KERNEL);
    expect(codeOf(() => k.kfree(p))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => k.vfree(q))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => k.iounmap(p))).toBe("ERR_VMEM_KIND");
    expect(codeOf(() => k.free_pages(p, 0))).toBe("ERR_UMA_ADDRESS");
    k.vfree(p);
    k.kfree(q);
  });

  test("meminfo counts addresses with their guard pages, whatever their number", () => {
    expect(k.meminfo()).toMatchObject({ VmallocTotal: k.VMALLOC_TOTAL, VmallocUsed: 0 });
    const p = k.vmalloc(3 * PAGE_SIZE);
    expect(k.meminfo().VmallocUsed).toBe(4 * PAGE_SIZE);
    expect(k.meminfo().VmallocChunk).toBeLessThan(k.VMALLOC_TOTAL);
    expect([...k.vmallocinfo()]).toEqual([{ address: p, bytes: 3 * PAGE_SIZE, pages: 3, kind: "vmalloc", owner: uma.slot, caller: "" }]);
    k.vfree(p);
  });
});

describe("vmallocinfo", () => {
  test("names function, file and line of whoever mapped an area, and writes lines as /proc does", () => {
    const noting = createLinux(uma, { warnBytes: 0, callers: true });
    function scull_open(): number {
      return noting.vmalloc(3 * PAGE_SIZE);
    }
    const p = scull_open();
    const q = noting.ioremap(new SharedArrayBuffer(PAGE_SIZE), 8, 8);
    const lines = Array.from(k.vmallocinfo(), vmallocinfo_line);
    const from = p.toString(16);
    const to = (p + 3 * PAGE_SIZE).toString(16);
    expect(lines[0]).toMatch(new RegExp(`^0x${from}-0x${to} +12288 scull_open linux\\.test\\.ts:\\d+ pages=3 vmalloc$`));
    expect(lines[1]).toMatch(/ +4096 .*linux\.test\.ts:\d+ pages=1 ioremap$/);
    k.vfree(p);
    noting.iounmap(q);
    const r = k.vmalloc(2 * PAGE_SIZE);
    expect(Array.from(k.vmallocinfo(), vmallocinfo_line)[0]).toContain(" - pages=2 vmalloc");
    k.vfree(r);
  });
});

describe("ioremap", () => {
  const device = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes);

  test("rounds an offset that is no page's start down, and gives it back in the address", () => {
    const buffer = device(4 * PAGE_SIZE);
    const p = k.ioremap(buffer, PAGE_SIZE + 0x10, 100);
    expect(p % PAGE_SIZE).toBe(0x10);
    k.writel(0xdeadbeef, p);
    expect(new DataView(buffer).getUint32(PAGE_SIZE + 0x10, true)).toBe(0xdeadbeef);
    expect(k.readb(p)).toBe(0xef);
    expect(k.readw(p + 2)).toBe(0xdead);
    expect(k.readl(p)).toBe(0xdeadbeef);
    k.writeb(1, p + 8);
    k.writew(0x0203, p + 9);
    k.writeq(0x1122334455667788n, p + 16);
    expect(k.readl(p + 8)).toBe(0x00020301);
    expect(k.readq(p + 16)).toBe(0x1122334455667788n);
    k.writel(5, p + 21);
    expect(k.readl(p + 21)).toBe(5);
    k.iounmap(p);
  });

  test("reads and writes nothing beyond the range, at either end, not a byte", () => {
    const buffer = device(2 * PAGE_SIZE);
    const p = k.ioremap(buffer, 100, PAGE_SIZE);
    for (const act of [
      (): unknown => k.readb(p - 1),
      () => k.readb(p + PAGE_SIZE),
      () => k.readl(p + PAGE_SIZE - 3),
      () => k.readq(p + PAGE_SIZE - 7),
      () => k.writew(1, p + PAGE_SIZE - 1),
      () => k.memcpy_toio(p + 1, new Uint8Array(PAGE_SIZE).fill(9)),
      () => k.memcpy_fromio(new Uint8Array(PAGE_SIZE + 1), p),
      () => k.memset_io(p, 9, PAGE_SIZE + 1),
      () => k.readb(Number.NaN),
      () => k.readl(p + 0.5),
      () => k.readb(64),
    ]) {
      expect(codeOf(act)).toBe("ERR_UMA_ADDRESS");
    }
    expect(new Uint8Array(buffer).every((byte) => byte === 0)).toBe(true);
    k.iounmap(p);
    expect(codeOf(() => k.readb(p))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => k.iounmap(p))).toBe("ERR_UMA_ADDRESS");
  });

  test("copies to and from a wasm memory", () => {
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
    const p = k.ioremap(memory.buffer, 60_000, 10_000);
    const bytes = Uint8Array.from({ length: 10_000 }, (_, n) => n * 7);
    k.memcpy_toio(p, bytes);
    expect(new Uint8Array(memory.buffer).slice(60_000, 70_000)).toEqual(bytes);
    const out = new Uint8Array(100);
    k.memcpy_fromio(out, p + 50, 10);
    expect(out.slice(0, 10)).toEqual(bytes.slice(50, 60));
    expect(out[10]).toBe(0);
    k.memset_io(p, 0, 10_000);
    expect(k.readq(p + 9992)).toBe(0n);
    expect([...k.vmallocinfo()]).toMatchObject([{ kind: "ioremap", pages: 4 }]);
    k.iounmap(p);
  });

  test("refuses ranges that do not lie in the buffer, and takes no addresses for them", () => {
    const buffer = device(1000);
    expect(codeOf(() => k.ioremap(buffer, 0, 1001))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.ioremap(buffer, 1001, 1))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.ioremap(buffer, -1, 1))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.ioremap(buffer, 0, 0))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => k.ioremap(new Uint8Array(5) as unknown as ArrayBuffer, 0, 1))).toBe("ERR_UMA_OPTION");
    expect(k.meminfo().VmallocUsed).toBe(0);
  });

  test("is known to a thread that was given the buffer, and only to it", () => {
    const buffer = device(PAGE_SIZE);
    const p = k.ioremap(buffer, 8, 8);
    // Another thread's view of the same memory.
    const other = createLinux(uma, { warnBytes: 0 });
    expect(codeOf(() => other.readl(p))).toBe("ERR_UMA_FOREIGN");
    expect(codeOf(() => other.ioremap_attach(p, device(12)))).toBe("ERR_UMA_OPTION");
    other.ioremap_attach(p, buffer);
    other.writel(99, p);
    expect(k.readl(p)).toBe(99);
    other.iounmap(p);
    // Gone for the first as well, and so is whatever comes to lie there.
    expect(codeOf(() => k.readl(p))).toBe("ERR_UMA_ADDRESS");
    const next = k.vmalloc(PAGE_SIZE);
    expect(codeOf(() => k.readl(p))).toBe("ERR_UMA_ADDRESS");
    k.vfree(next);
  });
});
