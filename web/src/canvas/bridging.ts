/** Joining two sockets that do not fit, over a node that converts between them. */
import { type Bridge, addBridge } from "@/graph/bridges";
import { disconnect } from "@/graph/edits";
import { dependsOn, graphOf } from "@/graph/graphs";
import type { DocumentStore } from "@/graph/store";
import type { Document, GraphId, LinkId } from "@/graph/types";
import { endsOf } from "./linking";
import type { SocketRef } from "./types";

/** Puts the node between in one step, after taking off the link that was in the person's hand, and selects it. */
export function bridgeSockets(store: DocumentStore, graphId: GraphId, bridge: Bridge, a: SocketRef, b: SocketRef, detached: LinkId | null = null): void {
  const { definitions, edit, select } = store.getState();
  let made = "";
  edit(`Put ${bridge.definition.title} between`, (draft) => {
    if (detached !== null) disconnect(draft, graphId, detached);
    made = addBridge(draft, graphId, definitions, endsOf(a, b), bridge);
  });
  select({ nodes: [made] });
}

/** Whether a link from `output` to `input` would close a loop, over whatever node. */
export function closesLoop(document: Document, graphId: GraphId, output: SocketRef, input: SocketRef): boolean {
  const graph = graphOf(document, graphId);
  return graph === undefined || output.node === input.node || dependsOn(graph, output.node, input.node);
}
