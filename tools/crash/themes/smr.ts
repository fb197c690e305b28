/** Zones whose items readers may still look at: readers' sections, frees that wait for them, readers that die inside. */
import { burst, freeMail, reopen, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { type Actor, type Makers, type Theme, allowing } from "../theme.ts";

const MODES = ["now", "lazy", "deferred"] as const;

export const smrTheme: Theme = {
  name: "smr",
  steps: 90,

  definitions(makers: Makers) {
    const { defineZone } = makers.tree;
    const hooks = watchedHooks(makers);
    return [
      defineZone("smr plain", { size: 48, bucket: 4, smr: true }),
      defineZone("smr hooked", { size: 120, bucket: 3, smr: true, ...hooks }),
      defineZone("smr wide", { size: 400, smr: true, zinit: true }),
      defineZone("smr limited", { size: 64, bucket: 3, limit: 60, smr: true }),
    ];
  },

  step(a) {
    const z = a.random(a.zones.length);
    const { smr } = a.uma;
    const action = a.random(100);
    if (action < 45) work(a, z);
    else if (action < 60) read(a, z);
    else if (action < 70) freeMail(a, z);
    else if (action < 76) smr.poll(smr.advance(MODES[a.random(3)] ?? "now"));
    else if (action < 82) allowing(["ERR_UMA_TIMEOUT"], () => smr.synchronize(2));
    else if (action < 88) a.zones[z]?.reclaim();
    else if (action < 93) burst(a, z);
    else if (action < 97) reopen(a, z);
    else a.zones[z]?.prealloc(a.random(30));
  },

  prepare(parent) {
    // A reader beside the victim: who waits for readers waits in vain.
    if (!parent.alone || parent.random(2) > 0) return;
    parent.uma.smr.enter();
    parent.memo.set("inside", true);
  },

  recovered({ uma, memo }) {
    // What recovery has left alone because somebody may be reading it is ended now.
    if (memo.delete("inside")) uma.smr.exit();
  },

  settle({ uma, memo }) {
    if (memo.delete("inside")) uma.smr.exit();
    // A dead reader keeps nobody waiting.
    uma.smr.synchronize(1000);
  },
};

/** A section, in which items come and go. */
function read(a: Actor, z: number): void {
  const { smr } = a.uma;
  smr.enter();
  try {
    for (let n = a.random(8); n > 0; n--) work(a, z);
    if (a.random(3) === 0) burst(a, z);
  } finally {
    smr.exit();
  }
}
