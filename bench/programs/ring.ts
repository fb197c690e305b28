/**
 * A ring for one producer and one consumer, in shared memory: words go in, and become visible 64 at a time.
 * HEAD counts what was published, TAIL what was taken; each is written by one side only, and they lie on lines of their own.
 * Beside each stands whether somebody sleeps until it changes: whoever changes it then wakes them.
 */
const HEAD = 0;
const TAIL = 32;
const SLEEPS = 1;
const WORDS = 64;
const CAPACITY = 1024;
const PUBLISH = 64;
/** Looks at the other side's count before a sleep: the other side may need the processor that the looking takes. */
const LOOKS = 30_000;
/** A wake-up that came a moment too early is made up for after so long. */
const SLEEP_MS = 1;

export const RING_BYTES: number = (WORDS + CAPACITY) * 4;

export interface Producer {
  put(word: number): void;
  /** Publishes what has not been published yet. */
  flush(): void;
}

export interface Consumer {
  /** Waits for a word if it has to. */
  take(): number;
}

/** @returns the word at `index` once it is no longer `old`. */
function changed(ring: Int32Array, index: number, old: number): number {
  for (let looks = 1; ; looks++) {
    const value = Atomics.load(ring, index);
    if (value !== old) return value;
    if (looks % LOOKS !== 0) continue;
    Atomics.store(ring, index + SLEEPS, 1);
    Atomics.wait(ring, index, old, SLEEP_MS);
    Atomics.store(ring, index + SLEEPS, 0);
  }
}

function publish(ring: Int32Array, index: number, value: number): void {
  Atomics.store(ring, index, value);
  if (Atomics.load(ring, index + SLEEPS) !== 0) Atomics.notify(ring, index);
}

export function createProducer(buffer: SharedArrayBuffer): Producer {
  const ring = new Int32Array(buffer);
  let head = ring[HEAD] as number;
  let room = CAPACITY;

  function flush(): void {
    publish(ring, HEAD, head);
  }

  function waitForRoom(): void {
    flush();
    room = CAPACITY - ((head - changed(ring, TAIL, (head - CAPACITY) | 0)) | 0);
  }

  return {
    put: (word) => {
      if (room === 0) waitForRoom();
      ring[WORDS + (head & (CAPACITY - 1))] = word;
      head = (head + 1) | 0;
      room--;
      if ((head & (PUBLISH - 1)) === 0) flush();
    },
    flush,
  };
}

export function createConsumer(buffer: SharedArrayBuffer): Consumer {
  const ring = new Int32Array(buffer);
  let tail = ring[TAIL] as number;
  let ready = 0;

  function waitForWords(): void {
    publish(ring, TAIL, tail);
    ready = (changed(ring, HEAD, tail) - tail) | 0;
  }

  return {
    take: () => {
      if (ready === 0) waitForWords();
      const word = ring[WORDS + (tail & (CAPACITY - 1))] as number;
      tail = (tail + 1) | 0;
      ready--;
      // Room is given back as words are given: else the producer would wait for the whole ring to drain.
      if ((tail & (PUBLISH - 1)) === 0) publish(ring, TAIL, tail);
      return word;
    },
  };
}
