/** Where in the memory the programs lie: images of static data and stack below, zalloc's memory above them. */

/** Programs that can run at a time. */
export const IMAGES = 2;
/** The first bytes are nobody's, so that a NULL pointer that is followed harms nothing. */
const FIRST_IMAGE = 2 ** 16;
/** Static data (some 100 kB) and stack of one program. */
export const IMAGE_BYTES = 4 * 2 ** 20;
export const IMAGE_STACK_BYTES = 2 ** 20;
/** Where zalloc's part begins. */
export const HEAP_BASE = 8 * 2 ** 20 + 2 ** 16;
export const MEMORY_BYTES = 256 * 2 ** 20;
const WASM_PAGE_BYTES = 2 ** 16;

/** Where image number `image` begins, bytes. */
export function imageBase(image: number): number {
  return FIRST_IMAGE + image * IMAGE_BYTES;
}

/** The memory that programs and zalloc live in. It never grows: views of it would stay short. */
export function createMemory(): WebAssembly.Memory {
  const pages = MEMORY_BYTES / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}
