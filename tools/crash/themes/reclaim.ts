/** Memory given back in all depths: trim, drain, drain-cpu, ticks, low memory; caches bounded and unbounded; calls between workers. */
import { SB_RELIEF, SB_TICK } from "../../../src/backend/memory/layout.ts";
import { burst, freeMail, reopen, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { type Actor, type Makers, type Theme } from "../theme.ts";

const MODES = ["trim", "drain", "drain-cpu"] as const;

export const reclaimTheme: Theme = {
  name: "reclaim",
  steps: 70,

  definitions(makers: Makers) {
    const { defineZone } = makers.tree;
    const hooks = watchedHooks(makers);
    return [
      defineZone("reclaim plain", { size: 128, bucket: 6 }),
      defineZone("reclaim grown", { size: 600 }),
      defineZone("reclaim hooked", { size: 300, bucket: 3, ...hooks }),
      defineZone("reclaim bounded", { size: 80, bucket: 4, maxCache: 6 }),
      defineZone("reclaim no buckets", { size: 512, bucket: 0 }),
      defineZone("reclaim max bucket", { size: 1000, maxBucket: true }),
      defineZone("reclaim unmanaged", { size: 160, bucket: 4, unmanaged: true, onDeath: "free", ...hooks }),
    ];
  },

  step(a) {
    const z = a.random(a.zones.length);
    const action = a.random(100);
    if (action < 30) work(a, z);
    else if (action < 45) burst(a, z);
    else if (action < 53) freeMail(a, z);
    else if (action < 67) a.zones[z]?.reclaim(MODES[a.random(3)] ?? "drain");
    else if (action < 74) a.uma.reclaim(MODES[a.random(3)] ?? "trim");
    else if (action < 84) tick(a);
    else if (action < 88) a.zones[z]?.setMaxCache([0, 3, 20, Number.POSITIVE_INFINITY][a.random(4)] ?? 0);
    else if (action < 92) lowMemory(a, z);
    else if (action < 95) a.zones[z]?.prealloc(a.random(60));
    else reopen(a, z);
  },

  settle(parent) {
    parent.uma.setMemoryLimit(0);
    for (const zone of parent.zones) zone.setMaxCache(Number.POSITIVE_INFINITY);
  },
};

/** A tick, though the last one was a moment ago. */
function tick({ uma }: Actor): void {
  const { i32, base } = uma.core.floor.cells;
  Atomics.store(i32, base + SB_TICK, 0);
  uma.tick();
}

/** Memory is low: whoever allocates drains all caches. */
function lowMemory(a: Actor, z: number): void {
  const { i32, base } = a.uma.core.floor.cells;
  Atomics.store(i32, base + SB_RELIEF, 0);
  const end = a.uma.onLowMemory(() => {});
  a.uma.setMemoryLimit(4096);
  burst(a, z);
  a.uma.setMemoryLimit(0);
  end();
}
