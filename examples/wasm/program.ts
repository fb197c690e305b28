/** The compiled program in a thread: its C library's allocation is zalloc's malloc, its lines go to whoever asked. */
import { readFileSync } from "node:fs";
import { type Malloc, UmaError } from "../../src/index.ts";
import { IMAGE_BYTES, imageBase } from "./images.ts";

/** What a C function answers when there is no memory. C has no exceptions, so a size beyond the memory is that, too. */
const NULL = 0;
const WASI_BADF = 8;

interface Exports {
  readonly keep_register: (seed: number, years: number, people: number) => number;
  readonly __heap_base: { readonly value: number };
}

export interface Program {
  /** Runs the program. @returns its exit code; 0 is good. */
  run(seed: number, years: number, people: number): number;
}

/** malloc's functions with C's conventions: sizes are unsigned, and what cannot be had is NULL. */
function allocationOf(heap: Malloc) {
  const orNull = (allocate: () => number): number => {
    try {
      return allocate();
    } catch (error) {
      if (error instanceof UmaError && error.code === "ERR_UMA_OPTION") return NULL;
      throw error;
    }
  };
  return {
    malloc: (size: number) => (size >= 0 ? heap.malloc(size) : NULL),
    calloc: (count: number, size: number) => orNull(() => heap.calloc(count >>> 0, size >>> 0)),
    realloc: (p: number, size: number) => orNull(() => heap.realloc(p >>> 0, size >>> 0)),
    free: (p: number) => heap.free(p >>> 0),
    aligned_alloc: (align: number, size: number) => orNull(() => heap.alignedAlloc(align >>> 0, size >>> 0)),
    malloc_usable_size: (p: number) => heap.usableSize(p >>> 0),
  };
}

/** Text that ends with a 0 byte. */
function textAt(bytes: Uint8Array, p: number): string {
  // A TextDecoder does not read shared memory: the bytes are copied out.
  return new TextDecoder().decode(bytes.slice(p, bytes.indexOf(0, p)));
}

/**
 * Puts a program into place number `image`.
 * @param line - gets each line of its report.
 */
export function loadProgram(file: string, image: number, memory: WebAssembly.Memory, heap: Malloc, line: (text: string) => void): Program {
  const bytes = new Uint8Array(memory.buffer);
  const base = imageBase(image);
  // A program that was killed here has left its data, and the mark that they are initialised.
  bytes.fill(0, base, base + IMAGE_BYTES);
  const noFile = (): number => WASI_BADF;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {
    env: { memory },
    zalloc: allocationOf(heap),
    host: { line: (p: number) => line(textAt(bytes, p >>> 0)) },
    wasi_snapshot_preview1: { fd_close: noFile, fd_seek: noFile, fd_write: noFile },
  });
  const { keep_register, __heap_base } = instance.exports as unknown as Exports;
  if (__heap_base.value > base + IMAGE_BYTES) throw new Error(`image ${image} ends at ${__heap_base.value}, past its ${IMAGE_BYTES} bytes`);
  return { run: (seed, years, people) => keep_register(seed, years, people) };
}
