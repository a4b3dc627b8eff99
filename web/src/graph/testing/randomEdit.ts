/** One random edit of a document, of every kind there is. */
import { copyFragment, fragmentFromText, fragmentToText } from "../clipboard";
import type { DocumentDraft } from "../drafts";
import * as edits from "../edits";
import { addOutput, addParameter, listParameters, moveParameter, removeParameter, renameParameter } from "../parameters";
import * as subgraphs from "../subgraphs";
import { type Document, type GraphId, MODE_BYPASSED, MODE_MUTED, type Point } from "../types";
import type { Random } from "./random";
import { definitions } from "./samples";

const TYPES = ["KSampler", "CLIPTextEncode", "VAEDecode", "LoadImage", "SaveImage", "Note", "Reroute", "PrimitiveNode", "Unknown", "CheckpointLoaderSimple"];

export function randomEdit(draft: DocumentDraft, random: Random): string {
  const document = draft as Document;
  const g: GraphId = random.pick(Object.keys(document.graphs)) ?? "root";
  const graph = document.graphs[g]!;
  const ids = Object.keys(graph.nodes);
  const id = random.pick(ids) ?? "none";
  const other = random.pick(ids) ?? "none";
  const node = graph.nodes[id];
  const links = Object.keys(graph.links);
  const reroute = random.pick(Object.keys(graph.reroutes)) ?? "none";
  const group = random.pick(graph.groups)?.id ?? "none";
  const point: Point = [random.below(2000), random.below(2000)];
  const slot = random.below(6);
  const kinds: Record<string, () => unknown> = {
    add: () => edits.addNode(draft, g, definitions, random.pick([...TYPES, ...document.subgraphOrder].filter((one) => !edits.isRecursive(document, g, one)))!, point),
    remove: () => edits.removeItems(draft, g, { nodes: random.some(ids, 0.1) }, { reconnect: random.next() < 0.5 }),
    removeLinks: () => edits.removeItems(draft, g, { links: random.some(links, 0.1) }),
    move: () => edits.moveItems(draft, g, { nodes: random.some(ids), groups: [group], reroutes: [reroute] }, point),
    resize: () => edits.resizeNode(draft, g, id, point),
    value: () => Object.keys(node?.values ?? {}).slice(0, 1).forEach((name) => edits.setValue(draft, g, id, name, random.below(100))),
    control: () => node?.controls["seed"] && edits.setControl(draft, g, id, "seed", random.pick(["fixed", "increment", "randomize"])!),
    afterRun: () => edits.applyAfterRun(draft, definitions, () => random.next()),
    connect: () => edits.connect(draft, g, definitions, { from: id, fromSlot: random.below(3), to: other, toSlot: slot }),
    connectAgain: () => edits.connect(draft, g, definitions, { from: id, fromSlot: 0, to: other, toSlot: random.below(3) }),
    connectSide: () => edits.connect(draft, g, definitions, { from: "-10", fromSlot: 0, to: other, toSlot: slot }),
    disconnect: () => edits.disconnect(draft, g, random.pick(links) ?? "none"),
    disconnectInput: () => edits.disconnectInput(draft, g, id, slot),
    disconnectOutput: () => edits.disconnectOutput(draft, g, id, 0),
    moveLinks: () => edits.moveLinks(draft, g, definitions, { node: id, slot: 0 }, { node: other, slot: 0 }),
    mode: () => edits.toggleMode(draft, g, random.some(ids), random.pick([MODE_MUTED, MODE_BYPASSED])!),
    title: () => edits.setTitle(draft, g, id, random.pick(["One", "", null])!),
    color: () => edits.setColor(draft, g, [id], random.pick([{ color: "#123", bgcolor: "#456" }, null])!),
    collapse: () => edits.setCollapsed(draft, g, [id], random.next() < 0.5),
    pin: () => edits.setPinned(draft, g, [id], random.next() < 0.5),
    asInput: () => edits.setWidgetAsInput(draft, g, id, "seed", random.next() < 0.5),
    front: () => edits.bringToFront(draft, g, random.some(ids)),
    snap: () => edits.snap(draft, g, ids, 20),
    align: () => edits.align(draft, g, definitions, random.some(ids), random.pick(["left", "right", "top", "bottom", "centerX", "centerY"] as const)!),
    distribute: () => edits.distribute(draft, g, definitions, random.some(ids), random.pick(["horizontal", "vertical"] as const)!),
    arrange: () => edits.arrange(draft, g, definitions),
    group: () => edits.groupAround(draft, g, definitions, random.some(ids)),
    updateGroup: () => edits.updateGroup(draft, g, group, { title: "Other", color: null }),
    fitGroup: () => edits.fitGroup(draft, g, definitions, group),
    removeGroup: () => edits.removeItems(draft, g, { groups: [group] }),
    reroute: () => edits.addReroute(draft, g, random.pick(links) ?? "none", point, random.pick([undefined, null, reroute])),
    moveReroute: () => edits.moveReroute(draft, g, reroute, point),
    removeReroute: () => edits.removeReroute(draft, g, reroute),
    duplicate: () => ids.length < 60 && edits.duplicate(draft, g, { nodes: random.some(ids), groups: [group], reroutes: [reroute] }, [40, 40], { links: random.pick(["inside", "outside"] as const)! }),
    paste: () => {
      const text = fragmentToText(copyFragment(document, g, { nodes: random.some(ids, 0.2) }));
      if (ids.length < 60) edits.paste(draft, random.pick(Object.keys(document.graphs))!, fragmentFromText(text)!, { at: point, links: "outside" });
    },
    toSubgraph: () => document.subgraphOrder.length < 6 && subgraphs.toSubgraph(draft, g, definitions, { nodes: random.some(ids, 0.4), groups: [group] }),
    unpack: () => ids.length < 60 && subgraphs.unpackSubgraph(draft, g, definitions, ids.find((one) => document.subgraphOrder.includes(graph.nodes[one]!.type)) ?? "none"),
    publishInput: () => subgraphs.publishInput(draft, g, { node: id, slot }),
    publishOutput: () => subgraphs.publishOutput(draft, g, { node: id, slot: 0 }),
    unpublish: () => subgraphs.unpublish(draft, g, random.pick(["input", "output"] as const)!, random.below(2)),
    rename: () => g !== "root" && subgraphs.renamePublished(draft, g, random.pick(["input", "output"] as const)!, 0, `Label ${slot}`),
    proxy: () => {
      const inner = node && document.graphs[node.type];
      const target = inner && random.pick(Object.values(inner.nodes));
      const widget = target?.inputs.find((one) => one.widget !== undefined)?.widget;
      if (target !== undefined && widget !== undefined) subgraphs.setProxyWidget(draft, g, id, target.id, widget, random.next() < 0.7);
    },
    expose: () => addParameter(draft, { name: "steps", node: id, input: "steps" }),
    exposeOutput: () => addOutput(draft, { name: "result", node: id }),
    unexpose: () => removeParameter(draft, listParameters(document)[0]?.name ?? ""),
    renameParameter: () => renameParameter(draft, listParameters(document)[0]?.name ?? "", `p${slot}`),
    moveParameter: () => moveParameter(draft, listParameters(document)[0]?.name ?? "", 2),
  };
  const kind = random.pick(Object.keys(kinds))!;
  kinds[kind]!();
  return kind;
}
