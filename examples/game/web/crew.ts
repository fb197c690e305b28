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
  plays: boolean;
  readonly left: Promise<void>;
}

export class Crew {
  private readonly stage: Stage;
  private readonly events: CrewEvents;
  private readonly members: Member[] = [];
  /** Workers that have been started and do not play yet, and those that were killed and are not recovered. */
  private onTheWay = 0;

  constructor(stage: Stage, events: CrewEvents) {
    this.stage = stage;
    this.events = events;
  }

  startAll(): void {
    for (let index = 0; index < WORKERS; index++) this.start(index);
  }

  /** Whether all workers play and all dead ones have been seen to. */
  get isSettled(): boolean {
    return this.onTheWay === 0;
  }

  /** Terminates a worker, at whatever it is, and starts another in its place. */
  kill(index: number): void {
    const member = this.members[index];
    // One that has not come so far as to hold its lock could not be found dead by it.
    if (member === undefined || !member.plays || member.killedAt > 0) return;
    member.killedAt = performance.now();
    this.onTheWay++;
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
    this.onTheWay++;
    const left = new Promise<void>((resolve) => {
      worker.addEventListener("message", ({ data }: MessageEvent<News>) => {
        if (data === "plays") this.plays(index, member);
        if (data === "left") resolve();
      });
    });
    const member: Member = { worker, killedAt: 0, plays: false, left };
    worker.addEventListener("error", ({ message }) => this.events.failed(index, message));
    this.members[index] = member;
    stage.uma
      .watchLock(orders.ticket, { interval: WATCH_MS })
      .then((report) => this.died(index, member, report))
      .catch((error: unknown) => this.events.failed(index, String(error)));
    worker.postMessage(orders);
    void left.then(() => worker.terminate());
  }

  private plays(index: number, member: Member): void {
    member.plays = true;
    this.onTheWay--;
    this.stage.setPlaying(index, true);
  }

  /** The lock that the worker held for life is free: it is dead, or has left. */
  private died(index: number, member: Member, report: RecoveryReport | null): void {
    if (member.killedAt === 0) return;
    this.onTheWay--;
    this.stage.bequeath(index);
    this.events.recovered(index, report, performance.now() - member.killedAt);
  }
}
