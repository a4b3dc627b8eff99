/** A link that was refused, with the node that could go between. */
import { bridgeSockets, closesLoop } from "@/canvas/bridging";
import { endsOf } from "@/canvas/linking";
import type { Refusal } from "@/canvas/types";
import { type Bridge, bridgesBetween, openSockets } from "@/graph/bridges";
import { INPUT_SIDE, OUTPUT_SIDE } from "@/graph/types";
import { activeStore } from "@/workflows/workspace";
import { toast } from "./ui/toast";

/** Says why the link was not made, and offers to put a conversion in between where there is one. */
export function offerBridge({ graphId, from, target, reason, detached }: Refusal): void {
  const store = activeStore();
  if (store === null) return;
  const [output, input] = from.side === "output" ? [from, target] : [target, from];
  const ends = endsOf(from, target);
  const { document, definitions } = store.getState();
  const open = ends.from === INPUT_SIDE || ends.to === OUTPUT_SIDE || closesLoop(document, graphId, output, input) ? [] : bridgesBetween(definitions, output.type, input.type);
  toast({
    id: "link-refused",
    kind: open.length > 0 ? "info" : "warning",
    title: "These two do not fit",
    text: [reason, open[0] && remark(open[0])].filter(Boolean).join(" "),
    actions: open.slice(0, 2).map((bridge) => ({ label: `Put ${bridge.definition.title} between`, run: () => bridgeSockets(store, graphId, bridge, from, target, detached) })),
  });
}

function remark(bridge: Bridge): string {
  const rest = openSockets(bridge);
  return rest.length > 0 ? `${bridge.definition.title} would need its ${rest.join(" and ")}, too.` : "";
}
