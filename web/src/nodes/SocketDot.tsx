import { memo } from "react";
import { useCanvas, useDocument, useUi } from "@/canvas/context";
import { couldJoin } from "@/canvas/linking";
import type { HandleGeometry } from "@/graph/layout";
import type { GraphRecord, InputSlot, NodeRecord, OutputSlot } from "@/graph/types";
import { socketColor, socketShape } from "@/theme/sockets";

interface SocketDotProps {
  readonly node: NodeRecord;
  readonly handle: HandleGeometry;
  readonly tip?: string | undefined;
}

/** One socket. Its place comes from the layout, so that links meet it without a look at the page. */
export const SocketDot = memo(function SocketDot({ node, handle, tip }: SocketDotProps) {
  const { ui } = useCanvas();
  const slot: InputSlot | OutputSlot | undefined = node[handle.side === "input" ? "inputs" : "outputs"][handle.slot];
  const type = slot?.type ?? "*";
  const fit = useUi(({ linking }) => (linking === null ? "" : linking.from.node === node.id && linking.from.side === handle.side && linking.from.slot === handle.slot ? "from" : linking.from.node !== node.id && couldJoin(linking.from, handle.side, type) ? "yes" : "no"));
  const linkedTo = useDocument((state) => (slot ? partnerOf(state.document.graphs[state.scope.graphId], slot) : ""));
  if (slot === undefined) return null;
  const name = slot.label ?? slot.name;
  const choose = (): void => ui.setState({ choosing: { node: node.id, side: handle.side, slot: handle.slot, type } });
  return (
    <button
      type="button"
      className="sl-socket"
      data-socket={`${node.id}:${handle.side === "input" ? "i" : "o"}${handle.slot}`}
      data-shape={socketShape(type)}
      data-fit={fit || undefined}
      data-linked={linkedTo !== "" || undefined}
      data-hidden={(handle.hidden && fit !== "yes") || undefined}
      data-tip={`${name} · ${type}${tip ? `\n${tip}` : ""}`}
      aria-label={`${handle.side === "input" ? "Input" : "Output"} ${name}, ${type}${linkedTo ? `, linked ${handle.side === "input" ? "from" : "to"} ${linkedTo}` : ", not linked"}`}
      tabIndex={handle.hidden ? -1 : 0}
      style={{ left: handle.x, top: handle.y, color: socketColor(type) }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        choose();
      }}
    />
  );
});

/** Titles of what a socket is linked with, for screen readers. */
function partnerOf(graph: GraphRecord | undefined, slot: InputSlot | OutputSlot): string {
  const ids = "links" in slot ? slot.links : slot.link === null ? [] : [slot.link];
  if (ids.length === 0 || graph === undefined) return "";
  const other = (id: string): string => {
    const link = graph.links[id];
    const node = link && graph.nodes["links" in slot ? link.to : link.from];
    return node ? (node.title ?? node.type) : "the subgraph's border";
  };
  return ids.slice(0, 4).map(other).join(", ") + (ids.length > 4 ? ` and ${ids.length - 4} more` : "");
}
