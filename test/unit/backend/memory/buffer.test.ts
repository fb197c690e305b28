import { describe, expect, test } from "vitest";
import {
  acceptBuffer,
  acceptWasm,
  checkBase,
  isShared,
  makeBuffer,
  MAX_MEMORY_BYTES,
  MIN_MEMORY_BYTES,
} from "../../../../src/backend/memory/buffer.ts";
import { codeOf, errorOf } from "../../../fixtures/codes.ts";

describe("making a buffer", () => {
  test("the default is a SharedArrayBuffer of the length asked for", () => {
    const buffer = makeBuffer("shared", MIN_MEMORY_BYTES);
    expect(buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(buffer.byteLength).toBe(MIN_MEMORY_BYTES);
    expect(isShared(buffer)).toBe(true);
  });

  test("an ArrayBuffer is made only by name, and is not shared", () => {
    const buffer = makeBuffer("array", MIN_MEMORY_BYTES);
    expect(buffer).toBeInstanceOf(ArrayBuffer);
    expect(isShared(buffer)).toBe(false);
  });

  test.each([MIN_MEMORY_BYTES - 1, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_MEMORY_BYTES + 1, 2 ** 40])(
    "a length of %d bytes is refused, naming the option and the number",
    (bytes) => {
      const error = errorOf(() => makeBuffer("shared", bytes));
      expect(error.code).toBe("ERR_UMA_OPTION");
      expect(error.value).toBe(bytes);
      expect(error.message).toContain(`${MIN_MEMORY_BYTES} to ${MAX_MEMORY_BYTES}`);
    },
  );

  test("where SharedArrayBuffer is missing, the error names the two headers to set, and nothing else is made instead", () => {
    const { SharedArrayBuffer: kept } = globalThis;
    try {
      Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
      const error = errorOf(() => makeBuffer("shared", MIN_MEMORY_BYTES));
      expect(error.code).toBe("ERR_UMA_NO_SHARED_MEMORY");
      expect(error.message).toContain("Cross-Origin-Opener-Policy: same-origin");
      expect(error.message).toContain("Cross-Origin-Embedder-Policy: require-corp");
      expect(makeBuffer("array", MIN_MEMORY_BYTES)).toBeInstanceOf(ArrayBuffer);
    } finally {
      globalThis.SharedArrayBuffer = kept;
    }
  });
});

describe("accepting a buffer that somebody else made", () => {
  test("shared buffers and array buffers of fixed length are taken as they are", () => {
    const shared = new SharedArrayBuffer(MIN_MEMORY_BYTES);
    const plain = new ArrayBuffer(MIN_MEMORY_BYTES);
    expect(acceptBuffer(shared)).toBe(shared);
    expect(acceptBuffer(plain)).toBe(plain);
  });

  test("a growable SharedArrayBuffer is refused", () => {
    const growable = new SharedArrayBuffer(MIN_MEMORY_BYTES, { maxByteLength: 2 * MIN_MEMORY_BYTES });
    expect(errorOf(() => acceptBuffer(growable)).message).toContain("growable");
  });

  test.each([null, undefined, 1, "buffer", {}, new Uint8Array(MIN_MEMORY_BYTES), new SharedArrayBuffer(16), new ArrayBuffer(16)])(
    "%o is refused",
    (value) => {
      expect(codeOf(() => acceptBuffer(value))).toBe("ERR_UMA_OPTION");
    },
  );

  test("of a WebAssembly.Memory only a shared one is taken", () => {
    const shared = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    expect(acceptWasm(shared)).toBe(shared.buffer);
    const plain = new WebAssembly.Memory({ initial: 4, maximum: 4 });
    expect(codeOf(() => acceptWasm(plain))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => acceptWasm(null as never))).toBe("ERR_UMA_OPTION");
  });

  test("a WebAssembly.Memory that is too small is refused", () => {
    const small = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    expect(errorOf(() => acceptWasm(small)).value).toBe(65536);
  });
});

describe("the base", () => {
  test("is a multiple of the page that leaves room for the smallest memory", () => {
    expect(() => checkBase(4096, MIN_MEMORY_BYTES + 4096)).not.toThrow();
    expect(() => checkBase(0, MIN_MEMORY_BYTES)).not.toThrow();
  });

  test.each([-4096, 1, 4095, 8192, Number.NaN, 2.5, "0", null])("%o is refused in a buffer with one page to spare", (base) => {
    expect(codeOf(() => checkBase(base, MIN_MEMORY_BYTES + 4096))).toBe("ERR_UMA_OPTION");
  });
});
