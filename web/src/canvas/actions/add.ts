import { addNode, connect } from "@/graph/edits";
import { typesMatch } from "@/graph/matching";
import { currentGraph, type DocumentStore } from "@/graph/store";
import type { Json, NodeId, Point } from "@/graph/types";
import { endsOf } from "../linking";
import type { SearchRequest, SocketRef } from "../types";

/** Adds a node where the person asked for one, linked with the socket they came from. One step of the history. */
export function addFromSearch(store: DocumentStore, request: SearchRequest, type: string, values?: Readonly<Record<string, Json>>): NodeId {
  const state = store.getState();
  const graphId = currentGraph(state).id;
  const made: NodeId[] = [];
  state.edit("Add node", (draft) => {
    const id = addNode(draft, graphId, state.definitions, type, placeOf(request), values ? { values } : {});
    made.push(id);
    const node = draft.graphs[graphId]?.nodes[id];
    if (request.link === undefined || node === undefined) return;
    const partner = partnerOf(node, id, request.link);
    if (partner !== null) connect(draft, graphId, state.definitions, endsOf(request.link, partner));
  });
  const id = made[0] as NodeId;
  store.getState().select({ nodes: [id] });
  return id;
}

/** From an input the link runs leftwards: the new node stands to the left of the place. */
function placeOf({ at, link }: SearchRequest): Point {
  return link?.side === "input" ? [at[0] - 260, at[1]] : at;
}

interface Slots {
  readonly inputs: readonly { readonly type: string; readonly widget?: string | undefined }[];
  readonly outputs: readonly { readonly type: string }[];
}

function partnerOf(node: Slots, id: NodeId, link: SocketRef): SocketRef | null {
  const side = link.side === "output" ? "input" : "output";
  const slots: readonly { type: string; widget?: string | undefined }[] = side === "input" ? node.inputs : node.outputs;
  const fits = (type: string): boolean => (side === "input" ? typesMatch(link.type, type) : typesMatch(type, link.type));
  const exact = slots.findIndex((slot) => slot.type === link.type && slot.widget === undefined);
  const socket = slots.findIndex((slot) => fits(slot.type) && slot.widget === undefined);
  const any = slots.findIndex((slot) => fits(slot.type));
  const slot = [exact, socket, any].find((one) => one >= 0);
  return slot === undefined ? null : { node: id, side, slot, type: slots[slot]?.type ?? "*" };
}
