/** Locks that are fought for: zones without buckets, in which each allocation and each free takes the lock. */
import { freeMail, work } from "../basics.ts";
import type { Makers, Theme } from "../theme.ts";

export const contentionTheme: Theme = {
  name: "contention",
  steps: 260,

  definitions({ tree }: Makers) {
    return [
      tree.defineZone("contended", { size: 128, bucket: 0 }),
      tree.defineZone("contended buckets", { size: 64, bucket: 1 }),
      // Its buckets begin small, and grow where the lock is fought for.
      tree.defineZone("contended growing", { size: 4000 }),
    ];
  },

  step(a) {
    const z = a.random(3);
    if (a.random(20) === 0) freeMail(a, z);
    else if (a.random(60) === 0) a.zones[z]?.reclaim("drain-cpu");
    else work(a, z);
  },
};
