/** Nodes that go between two sockets whose types do not fit: a conversion that a person sees, where the field once converted unseen. */
import { type Definitions, type NodeDefinition, isWidget } from "./definitions";
import type { DocumentDraft } from "./drafts";
import { addNode, connect, type Ends } from "./edits";
import { graphOf, nodesOf } from "./graphs";
import { GRID, TITLE_HEIGHT, nodeBox } from "./layout";
import { typesMatch } from "./matching";
import type { Box, Document, GraphId, GraphRecord, Json, NodeId, Point } from "./types";

export interface Bridge {
  readonly definition: NodeDefinition;
  /** Positions among `definition.inputs` and `definition.outputs`. */
  readonly input: number;
  readonly output: number;
  readonly values: Readonly<Record<string, Json>>;
}

type Usual = readonly [type: string, values?: Readonly<Record<string, Json>>];

const NUMBER: Usual = ["ConvertNumber"];
const ENCODE: readonly Usual[] = [["CLIPTextEncode"], ["TextEncode"]];
const AS_TEXT: Usual = ["StringFormat", { template: "{a}" }];

/** What most people put between two types, best first. */
const USUAL: Readonly<Record<string, readonly Usual[]>> = {
  "INT>FLOAT": [NUMBER],
  "FLOAT>INT": [["RoundNumber"], NUMBER],
  "BOOLEAN>INT": [NUMBER],
  "BOOLEAN>FLOAT": [NUMBER],
  "INT>BOOLEAN": [NUMBER],
  "FLOAT>BOOLEAN": [NUMBER],
  "STRING>INT": [["ParseNumber"]],
  "STRING>FLOAT": [["ParseNumber"]],
  "STRING>COMBO": [["TextAsChoice"]],
  "COMBO>STRING": [AS_TEXT],
  "INT>STRING": [AS_TEXT],
  "FLOAT>STRING": [AS_TEXT],
  "BOOLEAN>STRING": [AS_TEXT],
  "LATENT>IMAGE": [["VAEDecode"]],
  "IMAGE>LATENT": [["VAEEncode"]],
  "MASK>IMAGE": [["MaskToImage"]],
  "IMAGE>MASK": [["ImageToMask"]],
  "CLIP>CONDITIONING": ENCODE,
  "STRING>CONDITIONING": ENCODE,
};

/** The nodes that could stand between an output of type `from` and an input of type `to`, best first. */
export function bridgesBetween(definitions: Definitions, from: string, to: string): Bridge[] {
  if (typesMatch(from, to)) return [];
  const pairs = from.split(",").flatMap((a) => to.split(",").map((b) => `${a.trim()}>${b.trim()}`));
  return pairs.flatMap((pair) => USUAL[pair] ?? []).flatMap(([type, values = {}]): Bridge[] => {
    const definition = definitions.get(type);
    const input = definition?.inputs.findIndex((one) => typesMatch(from, one.type)) ?? -1;
    const output = definition?.outputs.findIndex((one) => typesMatch(one.type, to)) ?? -1;
    return definition === undefined || input < 0 || output < 0 ? [] : [{ definition, input, output, values }];
  });
}

/** Put a node between the two ends, about halfway between their nodes, and link all three. Returns its id. */
export function addBridge(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ends: Ends, bridge: Bridge): NodeId {
  const { definition } = bridge;
  const graph = graphOf(draft as Document, graphId);
  const id = addNode(draft, graphId, definitions, definition.type, between(graph, ends), { values: bridge.values });
  const input = definition.inputs[bridge.input];
  const inputs = draft.graphs[graphId]?.nodes[id]?.inputs ?? [];
  const toSlot = inputs.findIndex((slot) => input !== undefined && (slot.widget ?? slot.name) === input.name);
  connect(draft, graphId, definitions, { from: ends.from, fromSlot: ends.fromSlot, to: id, toSlot });
  connect(draft, graphId, definitions, { from: id, fromSlot: bridge.output, to: ends.to, toSlot: ends.toSlot });
  return id;
}

/** A place before the input, level with what feeds it as far as that is free. */
function between(graph: GraphRecord | undefined, ends: Ends): Point {
  const [from, to] = [graph?.nodes[ends.from], graph?.nodes[ends.to]];
  const [start, end] = [from?.pos ?? to?.pos ?? [0, 0], to?.pos ?? from?.pos ?? [0, 0]];
  const right = start[0] + (from?.size?.[0] ?? 0);
  const x = onGrid(right + (end[0] - right) / 2 - WIDTH / 2);
  const middle = onGrid((start[1] + end[1]) / 2);
  const others = graph === undefined ? [] : nodesOf(graph).map((node) => nodeBox(node, undefined));
  const free = (y: number): boolean => !others.some((box) => overlap(box, { x, y: y - TITLE_HEIGHT, width: WIDTH, height: HEIGHT }));
  const offsets = Array.from({ length: TRIES }, (_, at) => Math.ceil(at / 2) * (at % 2 === 0 ? 1 : -1) * 4 * GRID);
  return [x, middle + (offsets.find((offset) => free(middle + offset)) ?? 0)];
}

function onGrid(value: number): number {
  return Math.round(value / GRID) * GRID;
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** About how large such a node is. */
const [WIDTH, HEIGHT] = [200, 120];
/** Places looked at, up and down in turn. */
const TRIES = 40;

/** What is still to be linked on a bridge: names of its required sockets beside the one that was. */
export function openSockets({ definition, input }: Bridge): string[] {
  return definition.inputs.filter((one, at) => at !== input && one.required && !isWidget(one)).map((one) => one.name);
}
