/** Tickets: what a worker needs to find a memory and its slot in it, as a value that survives structured cloning. */
import { checkBase, isShared, type MemoryBuffer } from "../backend/memory/buffer.ts";
import { createCells, threadCanWait } from "../backend/memory/cells.ts";
import { UmaError } from "../backend/memory/errors.ts";
import { LAYOUT_VERSION } from "../backend/memory/layout.ts";
import { slotOf } from "../backend/memory/names.ts";
import { type Geometry, readGeometry } from "../backend/memory/superblock.ts";

/** A reserved worker slot; survives structured cloning. Good for one attach. */
export interface Ticket {
  readonly zalloc: number;
  readonly buffer: MemoryBuffer;
  readonly base: number;
  readonly idLow: number;
  readonly idHigh: number;
  /** Name of the worker to be: {generation, slot}. */
  readonly name: number;
}

/** Checks a ticket and the memory it leads to. @throws UmaError ERR_UMA_TICKET, ERR_UMA_NOT_A_MEMORY, ERR_UMA_VERSION, ERR_UMA_BYTE_ORDER. */
export function openTicket(ticket: Ticket): { cells: ReturnType<typeof createCells>; geometry: Geometry } {
  if (ticket === null || typeof ticket !== "object" || typeof ticket.zalloc !== "number" || typeof ticket.name !== "number") {
    throw new UmaError("ERR_UMA_TICKET", "attach needs what uma.ticket() returned, handed over in workerData or a message");
  }
  if (ticket.zalloc !== LAYOUT_VERSION) {
    throw new UmaError("ERR_UMA_VERSION", `the ticket is of layout version ${ticket.zalloc}, this library's is ${LAYOUT_VERSION}`, {
      value: ticket.zalloc,
    });
  }
  if (!isShared(ticket.buffer))
    throw new UmaError("ERR_UMA_TICKET", "the ticket's buffer is no SharedArrayBuffer (was it copied through JSON?)");
  checkBase(ticket.base, ticket.buffer.byteLength);
  const cells = createCells(ticket.buffer, ticket.base, threadCanWait(ticket.buffer));
  const geometry = readGeometry(cells);
  if (geometry.idLow !== ticket.idLow || geometry.idHigh !== ticket.idHigh) {
    throw new UmaError("ERR_UMA_TICKET", "the ticket is of another memory");
  }
  if (slotOf(ticket.name) < 1 || slotOf(ticket.name) > geometry.workers) {
    throw new UmaError("ERR_UMA_TICKET", `the ticket names slot ${slotOf(ticket.name)}; there are ${geometry.workers}`, {
      value: slotOf(ticket.name),
    });
  }
  return { cells, geometry };
}
