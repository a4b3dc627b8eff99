/** Joining two sockets, whichever of them the person began with. */
import { connect, disconnect, type Ends, whyNoConnection } from "@/graph/edits";
import type { DocumentState, DocumentStore } from "@/graph/store";
import { publishInput, publishOutput } from "@/graph/subgraphs";
import { typesMatch } from "@/graph/matching";
import { type GraphId, INPUT_SIDE, type LinkId, OUTPUT_SIDE } from "@/graph/types";
import type { SocketRef } from "./types";

export function endsOf(a: SocketRef, b: SocketRef): Ends {
  const [from, to] = a.side === "output" ? [a, b] : [b, a];
  return { from: from.node, fromSlot: from.slot, to: to.node, toSlot: to.slot };
}

/** Whether an end is the free slot on the border of a subgraph, which publishes what is linked to it. */
function isFreeSide(state: Pick<DocumentState, "document">, graphId: GraphId, ref: SocketRef): boolean {
  const info = state.document.graphs[graphId]?.subgraph;
  if (ref.node === INPUT_SIDE) return ref.slot === (info?.inputs.length ?? 0);
  return ref.node === OUTPUT_SIDE && ref.slot === (info?.outputs.length ?? 0);
}

/** Why the two cannot be joined, in words for people; null if they can. */
export function reasonAgainst(state: Pick<DocumentState, "document" | "definitions">, graphId: GraphId, a: SocketRef, b: SocketRef): string | null {
  if (isFreeSide(state, graphId, a) || isFreeSide(state, graphId, b)) return null;
  return whyNoConnection(state.document, graphId, state.definitions, endsOf(a, b));
}

/** By types alone: whether a socket is worth pointing at while a link is dragged. */
export function couldJoin(from: SocketRef, side: "input" | "output", type: string): boolean {
  if (from.side === side) return false;
  return side === "input" ? typesMatch(from.type, type) : typesMatch(type, from.type);
}

/** Makes the link in one step, after taking off the one that was in the person's hand. */
export function joinSockets(store: DocumentStore, graphId: GraphId, a: SocketRef, b: SocketRef, detached: LinkId | null = null): void {
  const { definitions, edit } = store.getState();
  const ends = endsOf(a, b);
  edit(detached === null ? "Connect" : "Move link", (draft) => {
    const old = detached === null ? undefined : draft.graphs[graphId]?.links[detached];
    if (old?.to === ends.to && old.toSlot === ends.toSlot) return;
    if (detached !== null) disconnect(draft, graphId, detached);
    if (ends.from === INPUT_SIDE && isFreeSide({ document: draft as never }, graphId, a.node === INPUT_SIDE ? a : b)) {
      publishInput(draft, graphId, { node: ends.to, slot: ends.toSlot });
    } else if (ends.to === OUTPUT_SIDE && isFreeSide({ document: draft as never }, graphId, a.node === OUTPUT_SIDE ? a : b)) {
      publishOutput(draft, graphId, { node: ends.from, slot: ends.fromSlot });
    } else {
      connect(draft, graphId, definitions, ends);
    }
  });
}
