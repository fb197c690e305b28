/** The one place where the parts of an attachment are put together. */
import { SB_DEAD_LINE } from "../backend/memory/layout.ts";
import { createCensus } from "./census.ts";
import { createClosing, type Closing } from "./closing.ts";
import type { Core } from "./core.ts";
import { createHandles } from "./handles.ts";
import { createLimbo } from "./limbo.ts";
import { createLimits } from "./limits.ts";
import { type Orphans, createOrphans } from "./orphans.ts";
import { createRecords } from "./records.ts";
import { createQuantumCaches } from "./quantum-caches.ts";
import { createReclaim } from "./reclaim.ts";
import { createRecovery, type Recovery } from "./recovery.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { createReserves } from "./reserves.ts";
import { createServices, type ServiceParts } from "./services.ts";
import { createSetters } from "./setters.ts";
import { createStatistics, type Statistics } from "./statistics.ts";
import { createOnlineVerify, type OnlineOptions, type OnlineVerdict } from "./verify-online.ts";
import { createVerify, type Verdict } from "./verify.ts";
import { createWaiting } from "./waiting.ts";
import type { ZoneFactory, ZoneServices } from "./zone.ts";
import { createZoneFactory } from "./zone-classes.ts";

/** The parts of an attachment, above its core. */
export interface Parts extends ServiceParts {
  readonly core: Core;
  readonly registry: Registry;
  readonly services: ZoneServices;
  readonly factory: ZoneFactory;
  readonly verify: () => Verdict;
  readonly verifyOnline: (options: OnlineOptions) => OnlineVerdict;
}

export function compose(core: Core): Parts {
  const records = createRecords(core.floor, core.heap);
  const parts = {} as { -readonly [K in keyof Parts]: Parts[K] };
  const services = createServices(core, parts);
  const factory = createZoneFactory(core, services);
  const registry = createRegistry(core, records, factory);
  const closing: Closing = createClosing(core, records, registry, core.floor.cells.base + SB_DEAD_LINE);
  const census = createCensus(core.floor, records, registry);
  const handles = createHandles(core);
  const orphans: Orphans = createOrphans(core, records, registry, closing, handles);
  const recovery: Recovery = createRecovery(core, records, registry, closing, handles, orphans);
  // Zones stand on arenas, and the quantum caches of arenas on zones: arenas are there first, and get their caches here.
  core.arenas.hooks.quantumCache = createQuantumCaches(core, registry);
  core.arenas.hooks.finishFrames = () => recovery.finishOwnFrames();
  const statistics: Statistics = createStatistics(core, records, registry, census);
  const waiting = createWaiting(core, core.queue, services);
  core.endWaits = (z) => waiting.closing(z);
  const limbo = createLimbo(core);
  core.endLateFrees = (z) => limbo.finishLate(z);
  const limits = createLimits(core, core.queue, registry, services);
  return Object.assign(parts, {
    core,
    services,
    factory,
    registry,
    closing,
    census,
    orphans,
    recovery,
    statistics,
    limits,
    reclaims: createReclaim(core, registry, closing, {
      finishOwnFrames: () => recovery.finishOwnFrames(),
      harvestAll: (z) => {
        limbo.finishLate(z);
        limbo.seal(z);
        while (limbo.harvest(z));
      },
    }),
    limbo,
    setters: createSetters(core, { refuseCache: (z, what) => services.refuseCache(z, what), toSmr: (z) => factory.toSmr(z) }),
    reserves: createReserves(core, {
      prealloc: (z, count) => services.prealloc(z, count),
      refuseCache: (z, what) => services.refuseCache(z, what),
      setMax: (z, items) => limits.setMax(z, items),
    }),
    waiting,
    verify: createVerify(core, records, registry),
    verifyOnline: createOnlineVerify(core, registry),
  });
}
