/**
 * The show: a file, workers that write it to a device in stripes, each at its own place, others that read it back into a second
 * file, and the two files' SHA-256; on scullv with quanta of sixteen pages, on scullp with single pages, and on devices beside them.
 */
import { createHash } from "node:crypto";
import { closeSync, createReadStream, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Uma } from "../../src/index.ts";
import { type ScullKind, loadScull } from "./scull.ts";

/** What a worker is to do: to carry every `of`-th stripe, from `stripe` on, between file and device. */
export interface Errand {
  readonly device: number;
  readonly what: "write" | "read";
  readonly file: string;
  readonly bytes: number;
  readonly stripe: number;
  readonly of: number;
}

export interface ShowOptions {
  readonly bytes: number;
  readonly workers: number;
  readonly say: (line: string) => void;
}

const STRIPE_BYTES = 2 ** 20;
export { STRIPE_BYTES };

/** @returns whether all that was read is what was written, and the memory is sound. */
export async function show({ bytes, workers, say }: ShowOptions): Promise<boolean> {
  const uma = Uma.create({ bytes: Math.max(2 ** 24, Math.ceil((2.5 * bytes + 2 ** 24) / 4096) * 4096), workers: workers + 2 });
  const scull = loadScull(uma);
  const folder = mkdtempSync(join(tmpdir(), "scull-"));
  const crew = Array.from({ length: workers }, () => hire(uma));
  let right = true;
  try {
    const big = join(folder, "bigfile");
    const sum = makeFile(big, bytes);
    say(`bigfile: ${bytes} bytes, sha256 ${sum}`);
    for (const [kind, order] of [
      ["scullv", 4],
      ["scullp", 0],
    ] as const) {
      right = (await carry(kind, order, big, sum)) && right;
    }
    // Several devices at a time: one is cut short, one is a copy of a part, one is opened for writing and thereby emptied.
    const [one, two, three] = [1, 2, 3].map((n) => scull.makeDevice(n === 3 ? "scullp" : "scullv", n === 3 ? 0 : 4, 500)) as [
      number,
      number,
      number,
    ];
    const part = Math.floor(bytes / 8);
    await Promise.all(
      [one, two, three].map((device, n) => crew[n % workers]?.ask({ device, what: "write", file: big, bytes: part, stripe: 0, of: 1 })),
    );
    scull.open(one).truncate(Math.floor(part / 2));
    scull.open(three, true);
    right = scull.sizeOf(one) === Math.floor(part / 2) && scull.sizeOf(two) === part && scull.sizeOf(three) === 0 && right;
    const tail = new Uint8Array(16);
    const file = scull.open(two);
    file.lseek(-16, 2);
    right = file.read(tail) === 16 && file.read(tail) === 0 && right;
    for (const [n, device] of [one, two, three].entries())
      say(
        scull
          .listing(`${n + 1}`, device)
          .slice(0, 3)
          .join("\n"),
      );
    for (const device of [one, two, three]) scull.removeDevice(device);
  } finally {
    await Promise.all(crew.map((worker) => worker.dismiss()));
    rmSync(folder, { recursive: true, force: true });
  }
  for (const line of uma.table()) say(line);
  const verdict = uma.verify();
  say(`verify: ${verdict.ok ? "ok" : verdict.problems.join("; ")}`);
  uma.detach();
  return right && verdict.ok;

  /** Writes the file to a device of its own and reads it back, all workers at once. */
  async function carry(kind: ScullKind, order: number, big: string, sum: string): Promise<boolean> {
    const device = scull.makeDevice(kind, order, 500);
    const back = `${big}.${kind}`;
    const out = openSync(back, "w");
    ftruncateSync(out, bytes);
    closeSync(out);
    const times: number[] = [];
    for (const what of ["write", "read"] as const) {
      const started = performance.now();
      const file = what === "write" ? big : back;
      await Promise.all(crew.map((worker, n) => worker.ask({ device, what, file, bytes, stripe: n, of: crew.length })));
      times.push(performance.now() - started);
    }
    say(scull.listing(kind, device).slice(0, 5).join("\n"));
    const same = (await sumOf(back)) === sum;
    const rate = times.map((ms) => `${ms.toFixed(0)} ms (${(bytes / 1000 / ms).toFixed(0)} MB/s)`);
    say(`${kind}: written in ${rate[0]}, read back in ${rate[1]}, ${same ? "bit for bit" : "AND IS NOT THE SAME"}`);
    const started = performance.now();
    scull.removeDevice(device);
    say(`${kind}: given back in ${(performance.now() - started).toFixed(0)} ms`);
    return same;
  }
}

/** Bytes that do not compress, made on the spot. @returns their SHA-256. */
function makeFile(path: string, bytes: number): string {
  const hash = createHash("sha256");
  const file = openSync(path, "w");
  const chunk = new Uint32Array(STRIPE_BYTES / 4);
  let state = 12_345;
  for (let done = 0; done < bytes; done += STRIPE_BYTES) {
    for (let n = 0; n < chunk.length; n++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      chunk[n] = state ^ (state >>> 15);
    }
    const part = new Uint8Array(chunk.buffer, 0, Math.min(STRIPE_BYTES, bytes - done));
    hash.update(part);
    writeSync(file, part, 0, part.length, done);
  }
  closeSync(file);
  return hash.digest("hex");
}

async function sumOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

interface Hired {
  /** Has the worker do an errand. */
  ask(errand: Errand): Promise<void>;
  dismiss(): Promise<void>;
}

function hire(uma: Uma): Hired {
  const ticket = uma.ticket();
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: { ticket } });
  const recovered = uma.watch(worker, ticket);
  return {
    ask: (errand) =>
      new Promise((resolve, reject) => {
        worker.once("error", reject);
        worker.once("message", () => {
          worker.off("error", reject);
          resolve();
        });
        worker.postMessage(errand);
      }),
    async dismiss() {
      worker.postMessage(null);
      await recovered;
    },
  };
}
