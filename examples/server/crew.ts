/**
 * A few worker threads that jobs are handed to, and that are replaced when they die.
 *
 * Plain node:worker_threads, not a pool library: a pool takes a dead worker's tasks for failed and hides which thread had what. Here a
 * death is an event to live through: the dead worker's jobs are handed out again, once what it left is put in order.
 */
import type { Worker } from "node:worker_threads";

/** A worker that was started. */
export interface Hand {
  readonly worker: Worker;
  /** Resolves when it is dead and what it left is in order. */
  readonly buried: Promise<unknown>;
}

export interface Crew<M> {
  /** Hands a job to the worker that has the fewest. @param key - by which the job is known; its reply bears it. */
  send(key: number, message: M): void;
  /** Ends one of the workers at once. */
  kill(): boolean;
  readonly deaths: number;
  /** Tells the workers to end, and waits until they have. */
  close(farewell: M): Promise<void>;
}

/** @param again - makes the message for a job whose worker died. */
export interface CrewOptions<M> {
  readonly size: number;
  readonly start: () => Hand;
  readonly onReply: (reply: unknown) => number;
  readonly again: (key: number, message: M) => M;
}

interface Member<M> {
  readonly worker: Worker;
  readonly jobs: Map<number, M>;
  readonly ended: Promise<void>;
}

/** A worker that dies so often, without one reply in between, cannot be helped. */
const MOST_DEATHS_IN_A_ROW = 8;

export function createCrew<M>({ size, start, onReply, again }: CrewOptions<M>): Crew<M> {
  const members: Member<M>[] = [];
  const waiting = new Map<number, M>();
  let deaths = 0;
  let deathsInARow = 0;
  let closing = false;

  function join(): void {
    const { worker, buried } = start();
    const jobs = new Map<number, M>();
    const ended = new Promise<void>((resolve) => {
      worker.once("exit", () => {
        members.splice(members.indexOf(member), 1);
        if (!closing) {
          deaths++;
          deathsInARow++;
          if (deathsInARow <= MOST_DEATHS_IN_A_ROW) join();
        }
        // Not before its remains are in order: another worker is to find whole what this one had in hand.
        void buried.then(() => {
          for (const [key, message] of jobs) send(key, again(key, message));
          resolve();
        });
      });
    });
    const member: Member<M> = { worker, jobs, ended };
    worker.on("message", (reply: unknown) => {
      deathsInARow = 0;
      jobs.delete(onReply(reply));
    });
    worker.on("error", (error) => console.error("a worker died:", error));
    members.push(member);
    for (const [key, message] of waiting) hand(member, key, message);
    waiting.clear();
  }

  function hand(member: Member<M>, key: number, message: M): void {
    member.jobs.set(key, message);
    member.worker.postMessage(message);
  }

  function send(key: number, message: M): void {
    let least = members[0];
    for (const member of members) if (least === undefined || member.jobs.size < least.jobs.size) least = member;
    if (least === undefined) waiting.set(key, message);
    else hand(least, key, message);
  }

  for (let n = 0; n < size; n++) join();

  return {
    send,
    kill() {
      const victim = members.reduce<Member<M> | undefined>(
        (most, one) => (most === undefined || one.jobs.size > most.jobs.size ? one : most),
        undefined,
      );
      void victim?.worker.terminate();
      return victim !== undefined;
    },
    get deaths() {
      return deaths;
    },
    async close(farewell) {
      closing = true;
      const all = [...members];
      for (const { worker } of all) worker.postMessage(farewell);
      await Promise.all(all.map(({ ended }) => ended));
    },
  };
}
