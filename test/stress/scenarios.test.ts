/** Scenarios of several real workers, step by step: death, leaving, handing over, nesting, zones that come and go. */
import { describe, expect, test } from "vitest";
import type { RecoveryReport, Ticket, Uma } from "../../src/index.ts";
import { STATE_FREE } from "../../src/backend/memory/layout.ts";
import { BORN, Bare, DESTROYED, FreedOnDeath, Hooked, Small, Stuck } from "../fixtures/definitions.ts";
import { startPuppet } from "../fixtures/puppets.ts";
import { startWorker } from "../fixtures/workers.ts";
import { expectSound, give, makeUma, take } from "../fixtures/zones.ts";

const ORPHAN = 127;

function makeMemory(): Uma {
  return makeUma({ bytes: 8 << 20, patience: 1000 });
}

function left(report: RecoveryReport | null, zone: string) {
  return report?.zones.find((of) => of.zone === zone);
}

describe("a worker that is terminated", () => {
  test("leaves its items to whoever has them: kept, reported, freed or adopted by others", async () => {
    const uma = makeMemory();
    const small = uma.open(Small);
    const puppet = await startPuppet(uma);
    const items = await puppet.tell<number[]>({ do: "alloc", zone: "Small", count: 50 });
    await puppet.tell({ do: "free", zone: "Small", items: items.splice(0, 20) });
    expect(small.ownerOf(items[0] as number)).toBe(puppet.slot);
    await puppet.kill();
    const report = await puppet.recovered;
    expect(report).toMatchObject({ slot: puppet.slot, done: true });
    expect(left(report, "small")).toMatchObject({ kept: 30, freed: 0, remade: 0, orphaned: 0 });
    expect(left(report, "small")?.items.toSorted((a, b) => a - b)).toEqual(items.toSorted((a, b) => a - b));
    expect(small.stats().used).toBe(30);
    expect(uma.verify().orphans).toBe(30);
    expectSound(uma);
    for (const item of items) expect(small.ownerOf(item)).toBe(ORPHAN);
    expect(small.adopt(items[0] as number)).toBe(true);
    expect(small.adopt(items[0] as number)).toBe(false);
    expect([...small.owned()]).toEqual([items[0]]);
    give(small, items);
    expect(small.stats().used).toBe(0);
    small.reclaim();
    expect(small.stats().slabs).toBe(0);
    expectSound(uma);
  });

  test("has its items freed through dtor where the zone's policy says so", async () => {
    const uma = makeMemory();
    const zone = uma.open(FreedOnDeath);
    const puppet = await startPuppet(uma);
    const items = await puppet.tell<number[]>({ do: "alloc", zone: "FreedOnDeath", count: 20 });
    await puppet.kill();
    expect(left(await puppet.recovered, "freed on death")).toMatchObject({ freed: 20, kept: 0, orphaned: 0 });
    for (const item of items) expect(uma.views.i32[(item >> 2) + 2]).toBe(DESTROYED);
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test("leaves orphans where its recoverer has not got the hooks: one that has the zone open finishes them", async () => {
    const uma = makeMemory();
    const [victim, helper] = [await startPuppet(uma), await startPuppet(uma)];
    await helper.tell({ do: "open", zone: "FreedOnDeath" });
    const items = await victim.tell<number[]>({ do: "alloc", zone: "FreedOnDeath", count: 12 });
    await victim.kill();
    expect(left(await victim.recovered, "freed on death")).toMatchObject({ orphaned: 12, freed: 0 });
    await helper.tell({ do: "poll" });
    for (const item of items) expect(uma.views.i32[(item >> 2) + 2]).toBe(DESTROYED);
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0, orphans: 0 });
    await helper.kill();
    await helper.recovered;
    expectSound(uma);
  });

  test("leaves orphans that wait even for a worker that opens the zone only later", async () => {
    const uma = makeMemory();
    const victim = await startPuppet(uma);
    await victim.tell<number[]>({ do: "alloc", zone: "FreedOnDeath", count: 12 });
    await victim.kill();
    expect(left(await victim.recovered, "freed on death")).toMatchObject({ orphaned: 12 });
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 12, orphans: 12 });
    const zone = uma.open(FreedOnDeath);
    zone.free(zone.alloc());
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test.each(["ctor", "dtor"] as const)("inside %s leaves an item that is zeroed and born anew, and never destroyed again", async (how) => {
    const uma = makeMemory();
    const stuck = uma.open(Stuck);
    const signal = uma.open(Bare);
    const word = signal.alloc();
    const { i32 } = uma.views;
    i32[word >> 2] = 0;
    const puppet = await startPuppet(uma);
    await puppet.tell({ do: "open", zone: "Stuck" });
    puppet.send({ do: "stuck", how, word });
    while (Atomics.load(i32, word >> 2) !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(stuck.stats().used).toBe(1);
    await puppet.kill();
    expect(left(await puppet.recovered, "stuck")).toMatchObject({ remade: 1, kept: 0, freed: 0 });
    expect(stuck.stats().used).toBe(0);
    const items = take(stuck, 64);
    for (const item of items) expect(i32[(item >> 2) + 1]).toBe(BORN);
    give(stuck, items);
    signal.free(word);
    expectSound(uma);
  });

  test("gives its slot to the next one, at the next generation; its own ticket is worth nothing any more", async () => {
    const uma = makeMemory();
    const first = await startPuppet(uma);
    await first.kill();
    await first.recovered;
    expect(uma.core.floor.slots.state(first.slot)).toBe(STATE_FREE);
    expect(uma.reap(first.ticket)).toBe(null);
    const second = await startPuppet(uma);
    expect(second.slot).toBe(first.slot);
    expect(second.ticket.name).not.toBe(first.ticket.name);
    expect(uma.reap(first.ticket)).toBe(null);
    expect(await second.tell({ do: "slot" })).toBe(second.slot);
    await second.kill();
    await second.recovered;
    expectSound(uma);
  });

  test("that was the last to have a dying zone open takes it with it", async () => {
    const uma = makeMemory();
    const small = uma.open(Small);
    const signal = uma.open(Bare);
    const word = signal.alloc();
    uma.views.i32[word >> 2] = 0;
    const puppet = await startPuppet(uma);
    await puppet.tell({ do: "alloc", zone: "Small", count: 30 });
    // Stuck in a hook, so that it cannot do what it is asked.
    puppet.send({ do: "stuck", how: "ctor", word });
    while (Atomics.load(uma.views.i32, word >> 2) !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(small.destroy({ force: true }).outstanding).toBe(30);
    expect(uma.stats().zones.map((zone) => zone.name)).toContain("small");
    await puppet.kill();
    await puppet.recovered;
    expect(uma.stats().zones.map((zone) => zone.name)).not.toContain("small");
    expectSound(uma);
  });

  test("takes the workers it had started along, with all that is theirs", async () => {
    const uma = makeMemory();
    const small = uma.open(Small);
    const parent = await startPuppet(uma);
    await parent.tell({ do: "alloc", zone: "Small", count: 3 });
    const { ticket } = await parent.tell<{ ticket: Ticket }>({ do: "nest" });
    expect(uma.core.floor.slots.isLive(ticket.name)).toBe(true);
    expect(small.stats().used).toBe(8);
    await parent.kill();
    const report = await parent.recovered;
    expect(left(report, "small")).toMatchObject({ kept: 3 });
    expect(report?.children.map((child) => child.slot)).toEqual([ticket.name & 127]);
    expect(left(report?.children[0] ?? null, "small")).toMatchObject({ kept: 5 });
    expect(uma.core.floor.slots.isLive(ticket.name)).toBe(false);
    expect(uma.stats().workers).toBe(1);
    expectSound(uma);
  });

  test("after it had detached still takes the workers it had started along", async () => {
    const uma = makeMemory();
    uma.open(Small);
    const parent = await startPuppet(uma);
    const { ticket } = await parent.tell<{ ticket: Ticket }>({ do: "nest" });
    await parent.tell({ do: "detach" });
    expect(uma.core.floor.slots.isLive(ticket.name)).toBe(true);
    await parent.kill();
    const report = await parent.recovered;
    expect(report?.children.map((child) => child.slot)).toEqual([ticket.name & 127]);
    expect(uma.stats().workers).toBe(1);
    expectSound(uma);
  });
});

describe("a worker that leaves in order", () => {
  test("reports what it still had, by policy, and frees its slot", async () => {
    const uma = makeMemory();
    const [small, freed] = [uma.open(Small), uma.open(FreedOnDeath)];
    const puppet = await startPuppet(uma);
    await puppet.tell({ do: "alloc", zone: "Small", count: 7 });
    await puppet.tell({ do: "alloc", zone: "FreedOnDeath", count: 9 });
    const report = await puppet.tell<RecoveryReport>({ do: "detach" });
    expect(report.done).toBe(true);
    expect(left(report, "small")).toMatchObject({ kept: 7 });
    expect(left(report, "freed on death")).toMatchObject({ freed: 9 });
    expect(uma.core.floor.slots.state(puppet.slot)).toBe(STATE_FREE);
    expect([small.stats().used, freed.stats().used]).toEqual([7, 0]);
    expectSound(uma);
    await puppet.kill();
    expect(await puppet.recovered).toBe(null);
    give(small, left(report, "small")?.items as number[]);
    expectSound(uma);
  });
});

describe("handing items on", () => {
  test("marks first: the addressee owns what it was never told of, and nobody loses it when the sender dies", async () => {
    const uma = makeMemory();
    const small = uma.open(Small);
    const [sender, receiver] = [await startPuppet(uma), await startPuppet(uma)];
    const items = await sender.tell<number[]>({ do: "alloc", zone: "Small", count: 10 });
    await sender.tell({ do: "transfer", zone: "Small", items, to: receiver.slot });
    await sender.kill();
    expect(left(await sender.recovered, "small")).toBe(undefined);
    for (const item of items) expect(small.ownerOf(item)).toBe(receiver.slot);
    const owned = await receiver.tell<number[]>({ do: "owned", zone: "Small" });
    expect(owned).toEqual(items.toSorted((a, b) => a - b));
    await receiver.tell({ do: "free", zone: "Small", items: owned });
    expect(small.stats()).toMatchObject({ used: 0, xdomain: 0 });
    await receiver.kill();
    await receiver.recovered;
    expectSound(uma);
  });

  test("to a worker that has died is refused, whether it was recovered or not, and the item stays one's own", async () => {
    const uma = makeMemory();
    const small = uma.open(Small);
    const puppet = await startPuppet(uma);
    const item = small.alloc();
    await puppet.kill();
    await puppet.recovered;
    expect(() => small.transfer(item, puppet.slot)).toThrowError(expect.objectContaining({ code: "ERR_UMA_NO_SLOT" }) as Error);
    expect(small.ownerOf(item)).toBe(uma.slot);
    const ticket = uma.ticket();
    uma.core.floor.slots.certify(ticket.name);
    expect(() => small.transfer(item, ticket.name & 127)).toThrowError(expect.objectContaining({ code: "ERR_UMA_NO_SLOT" }) as Error);
    uma.reap(ticket);
    small.free(item);
    expectSound(uma);
  });

  test("an item freed by another worker than allocated it is counted there, once", async () => {
    const uma = makeMemory();
    const small = uma.open(Small);
    const puppet = await startPuppet(uma);
    const items = await puppet.tell<number[]>({ do: "alloc", zone: "Small", count: 40 });
    give(small, items);
    await expect(puppet.tell({ do: "free", zone: "Small", items: [items[0] as number] })).rejects.toMatchObject({
      code: "ERR_UMA_DOUBLE_FREE",
    });
    expect(small.stats()).toMatchObject({ used: 0, requests: 40, xdomain: 40 });
    await puppet.kill();
    await puppet.recovered;
    expectSound(uma);
  });
});

describe("zones that come and go", () => {
  test("a zone that one worker destroys is closed by the others as they look, and gone when the last one has", async () => {
    const uma = makeMemory();
    const hooked = uma.open(Hooked);
    const puppet = await startPuppet(uma);
    await puppet.tell({ do: "open", zone: "Hooked" });
    give(hooked, take(hooked, 30));
    hooked.destroy();
    await puppet.tell({ do: "poll" });
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
    // Under the same name, made by the other.
    const items = await puppet.tell<number[]>({ do: "alloc", zone: "Hooked", count: 5 });
    const again = uma.open(Hooked);
    expect(again.stats().used).toBe(5);
    give(again, items);
    await puppet.kill();
    await puppet.recovered;
    expectSound(uma);
  });

  test("destroyed and made five times under one name, it leaves nothing behind", async () => {
    const uma = makeMemory();
    const puppet = await startPuppet(uma);
    const inUse: number[] = [];
    for (let round = 0; round < 5; round++) {
      const small = uma.open(Small);
      give(small, await puppet.tell<number[]>({ do: "alloc", zone: "Small", count: 200 }));
      small.destroy();
      await puppet.tell({ do: "poll" });
      expect(uma.stats().zones).toEqual([]);
      expectSound(uma);
      inUse.push(uma.stats().heapInUse);
    }
    expect(inUse.slice(1)).toEqual(inUse.slice(1).map(() => inUse[1]));
    await puppet.kill();
    await puppet.recovered;
    expectSound(uma);
  });
});

describe("tickets in real workers", () => {
  test("one ticket attaches one worker", async () => {
    const uma = makeMemory();
    const ticket = uma.ticket();
    const workers = [startWorker("puppet-worker.ts", ticket), startWorker("puppet-worker.ts", ticket)];
    const outcomes = await Promise.allSettled(workers.map((worker) => worker.next()));
    expect(outcomes.map((outcome) => outcome.status).toSorted()).toEqual(["fulfilled", "rejected"]);
    const refused = outcomes.find((outcome) => outcome.status === "rejected");
    expect((refused as PromiseRejectedResult).reason).toMatchObject({ code: "ERR_UMA_TICKET" });
    for (const worker of workers) await worker.kill();
    expect(uma.reap(ticket)).toMatchObject({ done: true });
    expectSound(uma);
  });

  test.each<[string, (ticket: Ticket) => unknown, string]>([
    ["of another version", (ticket) => ({ ...ticket, zalloc: ticket.zalloc + 1 }), "ERR_UMA_VERSION"],
    ["of another memory", (ticket) => ({ ...ticket, idLow: ticket.idLow ^ 1 }), "ERR_UMA_TICKET"],
    ["copied through JSON", (ticket) => JSON.parse(JSON.stringify(ticket)), "ERR_UMA_TICKET"],
  ])("one %s is refused there, and can be withdrawn", async (_what, change, code) => {
    const uma = makeMemory();
    const ticket = uma.ticket();
    const worker = startWorker("puppet-worker.ts", change(ticket));
    await expect(worker.next()).rejects.toMatchObject({ code });
    await worker.kill();
    expect(uma.reap(ticket)).toMatchObject({ done: true, zones: [] });
    expect(uma.stats().workers).toBe(1);
    expectSound(uma);
  });
});
