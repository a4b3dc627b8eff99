/** After an edit: nodes whose inputs depend on values and links get those that they ask for now, in the same step. */
import type { Draft } from "immer";
import { CUSTOM_COMBO, placeOfChoice } from "./customCombo";
import type { Definitions, InputDefinition, NodeDefinition } from "./definitions";
import { isWidget } from "./definitions";
import { type DocumentDraft, type GraphDraft, detach, graphIn } from "./drafts";
import { isGrouped, shapeOf } from "./dynamic";
import { inputType, outputType } from "./edits/links";
import { newSize } from "./layout";
import { typesMatch } from "./matching";
import { newInputs } from "./slots";
import type { Document, GraphId, GraphRecord, InputSlot, Json, LinkId, NodeId, NodeRecord } from "./types";
import { defaultValue, newForm } from "./values";

type Recipe = (draft: DocumentDraft) => void;
type Change = (graph: GraphDraft) => void;

/** What is to be done after the edit from `before` to `after`; null if nothing. To be asked again after that was done. */
export function settling(before: Document, after: Document, definitions: Definitions): Recipe | null {
  const todo: [GraphId, Change][] = [];
  for (const graph of Object.values(after.graphs)) {
    const old = before.graphs[graph.id];
    if (old === graph) continue;
    for (const node of touched(old, graph, definitions)) {
      const change = changeOf(old?.nodes[node.id], node, graph, definitions);
      if (change !== null) todo.push([graph.id, change]);
    }
  }
  if (todo.length === 0) return null;
  return (draft) => todo.forEach(([graph, change]) => change(graphIn(draft, graph)));
}

/** Dynamic nodes that are others than before, and those that they are linked with. */
function touched(old: GraphRecord | undefined, graph: GraphRecord, definitions: Definitions): NodeRecord[] {
  const isDynamic = (node: NodeRecord | undefined): node is NodeRecord => definitions.get(node?.type ?? "")?.dynamic !== undefined;
  const found = new Set<NodeRecord>();
  for (const id of graph.nodeOrder) {
    const node = graph.nodes[id];
    if (old?.nodes[id] === node || !isDynamic(node)) continue;
    for (const one of [node, ...neighbours(graph, node)]) if (isDynamic(one)) found.add(one);
  }
  return [...found];
}

function neighbours(graph: GraphRecord, node: NodeRecord): (NodeRecord | undefined)[] {
  return [
    ...node.inputs.map((slot) => graph.nodes[graph.links[slot.link ?? ""]?.from ?? ""]),
    ...node.outputs.flatMap((slot) => slot.links.map((id) => graph.nodes[graph.links[id]?.to ?? ""])),
  ];
}

function changeOf(old: NodeRecord | undefined, node: NodeRecord, graph: GraphRecord, definitions: Definitions): Change | null {
  const definition = definitions.get(node.type);
  if (definition === undefined) return null;
  const [was, shape] = [shapeOf(old ?? node, definition), shapeOf(node, definition)];
  if (old === undefined ? hasOthers(node, shape) : was !== shape) return (draft) => reshape(draft, node, was, shape);
  const place = node.type === CUSTOM_COMBO ? placeOfChoice(node.values) : null;
  if (place !== null && node.values["index"] !== place) return (draft) => setIndex(draft, node.id, place);
  const types = matched(graph, node, shape, definitions);
  return types.length === 0 ? null : (draft) => types.forEach((one) => setType(draft, node.id, one));
}

function setIndex(graph: GraphDraft, id: NodeId, place: number): void {
  const node = graph.nodes[id];
  if (node !== undefined) (node.values as Record<string, Json>)["index"] = place;
}

/** A pasted node may have lost the links that it had inputs for. */
function hasOthers(node: NodeRecord, shape: NodeDefinition): boolean {
  const names = new Set(shape.inputs.map((one) => one.name));
  return node.inputs.some((slot) => isGrouped(shape, called(slot)) && !names.has(called(slot)));
}

// ---- which inputs

function called(slot: InputSlot): string {
  return slot.widget ?? slot.name;
}

function byName(shape: NodeDefinition): Map<string, InputDefinition> {
  return new Map(shape.inputs.map((one) => [one.name, one]));
}

function reshape(graph: GraphDraft, before: NodeRecord, was: NodeDefinition, shape: NodeDefinition): void {
  const node = graph.nodes[before.id];
  if (node === undefined) return;
  const [old, now] = [byName(was), byName(shape)];
  const lost: LinkId[] = [];
  const kept = before.inputs.flatMap((slot): InputSlot[] => {
    const wanted = now.get(called(slot));
    if (wanted === undefined && !isGrouped(shape, called(slot))) return [slot];
    const known = old.get(called(slot));
    if (wanted !== undefined && known?.type === wanted.type) return [known.kind === wanted.kind ? slot : { ...fresh(wanted), link: slot.link }];
    if (slot.link !== null) lost.push(slot.link);
    return wanted === undefined ? [] : [fresh(wanted)];
  });
  for (const link of lost) detach(graph, link);
  node.inputs = inOrder(kept, shape) as Draft<InputSlot>[];
  node.inputs.forEach((slot, at) => {
    const link = slot.link === null ? undefined : graph.links[slot.link];
    if (link !== undefined) link.toSlot = at;
  });
  setValues(node, old, now, shape);
  const [height, wanted] = [newSize(before, was)[1], newSize(node as NodeRecord, shape)[1]];
  if (node.size !== null) node.size = [node.size[0], Math.max(node.size[1] + wanted - height, 16)];
}

function fresh(input: InputDefinition): InputSlot {
  return { name: input.name, type: input.type, link: null, ...(isWidget(input) ? { widget: input.name } : {}), raw: {} };
}

/** `slots` with those that the shape has beyond, each after the one that it is declared after. */
function inOrder(slots: readonly InputSlot[], shape: NodeDefinition): InputSlot[] {
  const all = [...slots];
  let at = -1;
  for (const slot of newInputs(shape)) {
    const found = all.findIndex((one) => called(one) === slot.name);
    at = found >= 0 ? found : at + 1;
    if (found < 0) all.splice(at, 0, slot);
  }
  return all;
}

type Named = ReadonlyMap<string, InputDefinition>;

/** Values of inputs that are there as before stay; the others go, and new ones have their defaults. */
function setValues(node: Draft<NodeRecord>, old: Named, now: Named, shape: NodeDefinition): void {
  if (node.valueForm.kind === "opaque") return;
  const values = node.values as Record<string, Json>;
  for (const name of Object.keys(values)) if (isGrouped(shape, name) && !now.has(name)) delete values[name];
  for (const name of Object.keys(node.controls)) if (isGrouped(shape, name) && !now.has(name)) delete node.controls[name];
  for (const [name, input] of now) {
    const known = old.get(name);
    if (!isWidget(input) || (known !== undefined && isWidget(known) && fits(input, known, values[name]))) continue;
    values[name] = defaultValue(input);
    if (input.seed) node.controls[name] = "randomize";
  }
  if (node.valueForm.kind === "dict") return;
  node.valueForm = newForm(shape) as Draft<NodeRecord["valueForm"]>;
  delete (node.raw as Record<string, Json>)["widgets_values"];
}

function fits(input: InputDefinition, known: InputDefinition, value: Json | undefined): boolean {
  const choices: readonly Json[] | undefined = input.choices;
  return known.type === input.type && (known === input || value === undefined || choices === undefined || input.multiSelect === true || choices.includes(value));
}

// ---- which types

interface NewType {
  readonly side: "inputs" | "outputs";
  readonly slot: number;
  readonly type: string;
}

interface Bond {
  readonly narrow: (type: string) => string;
  readonly side: NewType["side"];
  readonly slot: number;
}

/** The types that sockets of one template have by what the others of it are linked to, where these are not theirs yet. */
function matched(graph: GraphRecord, node: NodeRecord, shape: NodeDefinition, definitions: Definitions): NewType[] {
  const declared = byName(shape);
  const inputs = node.inputs.map((slot) => declared.get(called(slot)));
  const templates = new Set([...inputs, ...shape.outputs].flatMap((one) => one?.template ?? []));
  return [...templates].flatMap((template) => {
    const among = (one: { readonly template?: string } | undefined): boolean => one?.template === template;
    const bonds = bondsOf(graph, node, definitions, { inputs: inputs.map(among), outputs: shape.outputs.map(among) });
    const typeOf = (side: NewType["side"], slot: number, allowed: string): NewType => {
      const others = bonds.filter((one) => side === "outputs" || one.side !== side || one.slot !== slot);
      return { side, slot, type: others.reduce((type, one) => one.narrow(type), allowed) };
    };
    const wanted = [
      ...inputs.flatMap((one, slot) => (one !== undefined && among(one) ? [typeOf("inputs", slot, one.type)] : [])),
      ...shape.outputs.flatMap((one, slot) => (among(one) ? [typeOf("outputs", slot, one.type)] : [])),
    ];
    return wanted.filter(({ side, slot, type }) => (node[side][slot]?.type ?? type) !== type);
  });
}

function bondsOf(graph: GraphRecord, node: NodeRecord, definitions: Definitions, among: { inputs: boolean[]; outputs: boolean[] }): Bond[] {
  const into = node.inputs.flatMap((input, slot): Bond[] => {
    const link = among.inputs[slot] && input.link !== null ? graph.links[input.link] : undefined;
    const type = link && outputType(graph, link.from, link.fromSlot);
    return type === undefined ? [] : [{ side: "inputs", slot, narrow: (now) => narrowed(now, type, (one) => typesMatch(type, one)) }];
  });
  const outOf = node.outputs.flatMap((output, slot) =>
    (among.outputs[slot] ? output.links : []).flatMap((id): Bond[] => {
      const link = graph.links[id];
      const type = link && takenBy(graph, link.to, link.toSlot, definitions);
      return type === undefined ? [] : [{ side: "outputs", slot, narrow: (now) => narrowed(now, type, (one) => typesMatch(one, type)) }];
    }),
  );
  return [...into, ...outOf];
}

/** What an input may take by its declaration: its type now may only be what reached it from here. */
function takenBy(graph: GraphRecord, id: NodeId, slot: number, definitions: Definitions): string | undefined {
  const node = graph.nodes[id];
  const input = node?.inputs[slot];
  const definition = node && definitions.get(node.type);
  if (node === undefined || input === undefined || definition === undefined) return inputType(graph, id, slot);
  const declared = shapeOf(node, definition).inputs.find((one) => one.name === called(input));
  return declared?.template === undefined ? input.type : declared.type;
}

function narrowed(now: string, by: string, fitting: (one: string) => boolean): string {
  if (by === "*" || now === "*") return now === "*" ? by : now;
  return now.split(",").filter(fitting).join(",") || now;
}

function setType(graph: GraphDraft, id: NodeId, { side, slot, type }: NewType): void {
  const found = graph.nodes[id]?.[side][slot];
  if (found === undefined) return;
  found.type = type;
  if (!("links" in found)) return;
  for (const one of found.links) {
    const link = graph.links[one];
    if (link !== undefined) link.type = type;
  }
}
