/** The page's workers: started, killed, replaced, sent home. */
import type { RecoveryReport } from "../../../src/index.ts";
import type { Stage } from "../sim/stage.ts";
import { WORKERS } from "../sim/world.ts";
import type { News } from "./worker.ts";

/** Between two looks whether a worker is dead, milliseconds. */
const WATCH_MS = 40;

export interface CrewEvents {
  /** A worker was killed, and what it left has been seen to: after so many milliseconds. */
  recovered(index: number, report: RecoveryReport | null, ms: number): void;
  failed(index: number, why: string): void;
}

interface Member {
  readonly worker: Worker;
  /** When it was killed; 0: it was not. */
  killedAt: number;
  readonly left: Promise<void>;
}

export class Crew {
  private readonly stage: Stage;
  private readonly events: CrewEvents;
  private readonly members: Member[] = [];

  constructor(stage: Stage, events: CrewEvents) {
    this.stage = stage;
    this.events = events;
  }

  startAll(): void {
    for (let index = 0; index < WORKERS; index++) this.start(index);
  }

  /** Terminates a worker, at whatever it is, and starts another in its place. */
  kill(index: number): void {
    const member = this.members[index];
    if (member === undefined || member.killedAt > 0) return;
    member.killedAt = performance.now();
    this.stage.setPlaying(index, false);
    member.worker.terminate();
    this.start(index);
  }

  /** Ends the game for all workers; resolves when they have freed their bodies and left. */
  async sendHome(): Promise<void> {
    this.stage.end();
    await Promise.all(this.members.map(({ left }) => left));
    for (let index = 0; index < WORKERS; index++) this.stage.setPlaying(index, false);
  }

  private start(index: number): void {
    const { stage } = this;
    const orders = stage.ordersFor(index);
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    const left = new Promise<void>((resolve) => {
      worker.addEventListener("message", ({ data }: MessageEvent<News>) => {
        if (data === "plays") stage.setPlaying(index, true);
        if (data === "left") resolve();
      });
    });
    const member: Member = { worker, killedAt: 0, left };
    worker.addEventListener("error", ({ message }) => this.events.failed(index, message));
    this.members[index] = member;
    stage.uma
      .watchLock(orders.ticket, { interval: WATCH_MS })
      .then((report) => this.died(index, member, report))
      .catch((error: unknown) => this.events.failed(index, String(error)));
    worker.postMessage(orders);
    void left.then(() => worker.terminate());
  }

  /** The lock that the worker held for life is free: it is dead, or has left. */
  private died(index: number, member: Member, report: RecoveryReport | null): void {
    if (member.killedAt === 0) return;
    this.stage.bequeath(index);
    this.events.recovered(index, report, performance.now() - member.killedAt);
  }
}
