/**
 * scull: a character device that keeps what is written to it in memory, after chapter 8 of Linux Device Drivers. Two devices of one
 * kind: scullp takes single pages, scullv quanta of 2^order pages by vmalloc; nothing else differs between them.
 *
 * A device's data is a list of items; an item points to a quantum set, an array of `qset` pointers to quanta. Devices, items and
 * sets lie in zones and in malloc'd memory, so any worker that knows a device's address has it open at once. A worker that wants to
 * read or write takes the device's semaphore, a word in the device.
 */
import { type Uma, defineZone, f64, struct, u32 } from "../../src/index.ts";
import { GFP_KERNEL, type Linux, PAGE_SIZE, __GFP_ZERO, createLinux } from "../../src/kpi/linux.ts";

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;

/** scullp: quanta of one page; scullv: by vmalloc. */
export type ScullKind = "scullp" | "scullv";

const ScullDevice = defineZone("scull_dev", { type: struct({ sem: u32, vmalloc: u32, order: u32, qset: u32, data: u32, size: f64 }) });
const ScullItem = defineZone("scull_item", { type: struct({ next: u32, data: u32 }) });

/** An open file: a position in a device. */
export interface ScullFile {
  /** Reads up to the end of the quantum, as scull does. @returns bytes read; 0 = the end, or a hole. */
  read(into: Uint8Array): number;
  /** Writes up to the end of the quantum. @returns bytes written. @throws Error when there is no memory (ENOMEM). */
  write(from: Uint8Array): number;
  /** @returns the new position. */
  lseek(offset: number, whence: number): number;
  /** Gives back what lies behind `size`. */
  truncate(size: number): void;
}

export interface Scull {
  /** Makes a device. @returns its address, which any worker may open. */
  makeDevice(kind: ScullKind, order: number, qset: number): number;
  /** @param trim - throw away what is in it: what opening it for writing only does. */
  open(device: number, trim?: boolean): ScullFile;
  sizeOf(device: number): number;
  /** The lines of /proc/scullpmem and scullvmem. */
  listing(name: string, device: number): string[];
  /** Gives a device and all its data back. */
  removeDevice(device: number): void;
}

/** The driver, as a thread has it. */
export function loadScull(uma: Uma): Scull {
  const devices = uma.open(ScullDevice);
  const items = uma.open(ScullItem);
  const k: Linux = createLinux(uma, { warnBytes: 0 });
  const { u32: words, u8, i32 } = uma.views;

  const down = (device: number): void => {
    while (Atomics.compareExchange(i32, device >> 2, 0, uma.slot) !== 0) Atomics.wait(i32, device >> 2, i32[device >> 2] as number, 10);
  };
  const up = (device: number): void => {
    Atomics.store(i32, device >> 2, 0);
    Atomics.notify(i32, device >> 2, 1);
  };
  /** With the semaphore: the fields of a device that do not change meanwhile. */
  function using<T>(device: number, work: () => T): T {
    down(device);
    try {
      return work();
    } finally {
      up(device);
    }
  }

  function takeQuantum(vmalloc: boolean, order: number): number {
    const p = vmalloc ? k.vzalloc(PAGE_SIZE << order) : k.__get_free_pages(GFP_KERNEL | __GFP_ZERO, order);
    if (p === 0) throw new Error("ENOMEM: no quantum");
    return p;
  }

  function giveQuantum(vmalloc: boolean, order: number, p: number): void {
    if (vmalloc) k.vfree(p);
    else k.free_pages(p, order);
  }

  /** The n-th item of a device, and those before it, if need be. */
  function follow(device: number, n: number): number {
    let item = devices.at(device).data;
    if (item === 0) {
      item = items.alloc();
      Object.assign(items.at(item), { next: 0, data: 0 });
      devices.at(device).data = item;
    }
    for (let at = 0; at < n; at++) {
      let next = items.at(item).next;
      if (next === 0) {
        next = items.alloc();
        Object.assign(items.at(next), { next: 0, data: 0 });
        items.at(item).next = next;
      }
      item = next;
    }
    return item;
  }

  /** The word that names the quantum at `position`; makes item and set if it must. */
  function wordOf(device: number, position: number): { word: number; offset: number; quantum: number } {
    const { order, qset } = devices.at(device);
    const quantum = PAGE_SIZE << order;
    const item = follow(device, Math.floor(position / (quantum * qset)));
    const rest = position % (quantum * qset);
    if (items.at(item).data === 0) {
      const set = k.kcalloc(qset, 4, GFP_KERNEL);
      if (set === 0) throw new Error("ENOMEM: no quantum set");
      items.at(item).data = set;
    }
    return { word: (items.at(item).data >>> 2) + Math.floor(rest / quantum), offset: rest % quantum, quantum };
  }

  function read(device: number, position: number, into: Uint8Array): number {
    const { size, vmalloc } = devices.at(device);
    if (position >= size) return 0;
    const { word, offset, quantum } = wordOf(device, position);
    const p = words[word] as number;
    const count = Math.min(into.length, quantum - offset, size - position);
    // A hole: scull does not fill it.
    if (p === 0 || count === 0) return 0;
    const part = into.subarray(0, count);
    if (vmalloc !== 0) k.mem.copyOut(p + offset, part);
    else part.set(u8.subarray(p + offset, p + offset + count));
    return count;
  }

  function write(device: number, position: number, from: Uint8Array): number {
    const { word, offset, quantum } = wordOf(device, position);
    const { vmalloc, order } = devices.at(device);
    if (words[word] === 0) words[word] = takeQuantum(vmalloc !== 0, order);
    const p = words[word] as number;
    const part = from.subarray(0, Math.min(from.length, quantum - offset));
    if (vmalloc !== 0) k.mem.copyIn(p + offset, part);
    else u8.set(part, p + offset);
    const end = position + part.length;
    if (end > devices.at(device).size) devices.at(device).size = end;
    return part.length;
  }

  function truncate(device: number, size: number): void {
    const { order, qset, vmalloc } = devices.at(device);
    const quantum = PAGE_SIZE << order;
    const keep = Math.ceil(size / quantum);
    let n = 0;
    let before = 0;
    for (let item = devices.at(device).data; item !== 0; ) {
      const { next, data } = items.at(item);
      for (let at = 0; data !== 0 && at < qset; at++) {
        const word = (data >>> 2) + at;
        if (n + at < keep || words[word] === 0) continue;
        giveQuantum(vmalloc !== 0, order, words[word] as number);
        words[word] = 0;
      }
      if (n >= keep) {
        if (data !== 0) k.kfree(data);
        if (before === 0) devices.at(device).data = 0;
        else items.at(before).next = 0;
        items.free(item);
      } else {
        before = item;
      }
      n += qset;
      item = next;
    }
    if (size < devices.at(device).size) devices.at(device).size = size;
    // What comes back by a later write beyond the end must read as zeroes.
    const rest = size % quantum;
    if (rest === 0 || n === 0) return;
    const p = words[wordOf(device, size).word] as number;
    if (p === 0) return;
    if (vmalloc !== 0) k.mem.fill(p + rest, 0, quantum - rest);
    else u8.fill(0, p + rest, p + quantum);
  }

  function open(device: number, trim = false): ScullFile {
    let position = 0;
    if (trim) using(device, () => truncate(device, 0));
    return {
      read(into) {
        const count = using(device, () => read(device, position, into));
        position += count;
        return count;
      },
      write(from) {
        const count = using(device, () => write(device, position, from));
        position += count;
        return count;
      },
      lseek(offset, whence) {
        const base = whence === SEEK_SET ? 0 : whence === SEEK_CUR ? position : devices.at(device).size;
        if (base + offset < 0) throw new Error("EINVAL: a position below 0");
        position = base + offset;
        return position;
      },
      truncate: (size) => using(device, () => truncate(device, size)),
    };
  }

  function listing(name: string, device: number): string[] {
    const { qset, order, size, data } = devices.at(device);
    const hex = (p: number): string => p.toString(16).padStart(8, "0");
    const lines = [`Device ${name}: qset ${qset}, order ${order}, sz ${size}`];
    for (let item = data; item !== 0; item = items.at(item).next) {
      const set = items.at(item).data;
      lines.push(`  item at ${hex(item)}, qset at ${hex(set)}`);
      // Of the last item only, as in the original: the others are full.
      if (items.at(item).next !== 0 || set === 0) continue;
      for (let n = 0; n < qset; n++) if (words[(set >>> 2) + n] !== 0) lines.push(`    ${n}:${hex(words[(set >>> 2) + n] as number)}`);
    }
    return lines;
  }

  return {
    makeDevice(kind, order, qset) {
      const device = devices.alloc();
      Object.assign(devices.at(device), { sem: 0, vmalloc: kind === "scullv" ? 1 : 0, order, qset, data: 0, size: 0 });
      return device;
    },
    open,
    sizeOf: (device) => devices.at(device).size,
    listing,
    removeDevice(device) {
      using(device, () => truncate(device, 0));
      devices.free(device);
    },
  };
}
