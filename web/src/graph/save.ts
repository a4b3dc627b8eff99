/**
 * From a document back to the JSON of its file.
 *
 * The rule throughout: what reads the same as in the file is written as the file had it, and keys that nobody here knows
 * stay. So a workflow that was only looked at is saved exactly as it was.
 */
import { linksOf, linksOver } from "./graphs";
import { asPoint, finite, isId, isObject, same, sameIds, text } from "./json";
import { readLink } from "./read";
import {
  type Document,
  type GraphRecord,
  type GroupRecord,
  type InputSlot,
  type Json,
  type JsonObject,
  type LinkRecord,
  type NodeRecord,
  type OutputSlot,
  type Point,
  type PublishedSlot,
  ROOT,
  type SubgraphInfo,
} from "./types";
import { writeInstanceValues } from "./instanceValues";
import { withMarks } from "./parameterPlaces";
import { writeValues } from "./values";
import { socketType } from "./definitions";

type Writable = Record<string, Json>;

export function saveWorkflow(edited: Document): JsonObject {
  const document = withMarks(edited);
  const root = document.graphs[ROOT];
  if (root === undefined) throw new Error("A document without a root graph cannot be saved.");
  const extra = writeExtra(document, root);
  const workflow: Writable = { ...document.raw, ...writeGraph(document, root) };
  if (document.raw["extra"] !== undefined || Object.keys(extra).length > 0) workflow["extra"] = extra;
  const definitions = writeDefinitions(document);
  if (definitions === undefined) delete workflow["definitions"];
  else workflow["definitions"] = definitions;
  return workflow;
}

function writeDefinitions(document: Document): Json | undefined {
  const held = document.raw["definitions"];
  const nested = nestedIds(document);
  const own = document.subgraphOrder.filter((id) => !nested.has(id));
  if (own.length === 0 && !isObject(held)) return held;
  const written = own.flatMap((id) => writeDefinition(document, id));
  const unreadable = strayDefinitions(held);
  return { ...(isObject(held) ? held : {}), subgraphs: [...written, ...unreadable] };
}

/** Definitions that the file holds inside of others. */
function nestedIds(document: Document): Set<string> {
  return new Set(Object.values(document.graphs).flatMap((graph) => (graph.id === ROOT ? [] : innerIds(graph.raw))));
}

function innerIds(raw: JsonObject): string[] {
  const held = raw["definitions"];
  const list = isObject(held) && Array.isArray(held["subgraphs"]) ? (held["subgraphs"] as readonly Json[]) : [];
  return list.flatMap((one) => (isObject(one) && typeof one["id"] === "string" ? [one["id"]] : []));
}

function strayDefinitions(held: Json | undefined): Json[] {
  const list = isObject(held) && Array.isArray(held["subgraphs"]) ? (held["subgraphs"] as readonly Json[]) : [];
  return list.filter((one) => !isObject(one) || typeof one["id"] !== "string");
}

function writeDefinition(document: Document, id: string): JsonObject[] {
  const graph = document.graphs[id];
  if (graph?.subgraph === null || graph === undefined) return [];
  const written: Writable = { ...graph.raw, id, ...writeGraph(document, graph), ...writeInfo(graph, graph.subgraph) };
  const inner = innerIds(graph.raw);
  const held = graph.raw["definitions"];
  if (inner.length > 0 && isObject(held)) {
    written["definitions"] = { ...held, subgraphs: [...inner.flatMap((one) => writeDefinition(document, one)), ...strayDefinitions(held)] };
  }
  return [written];
}

function writeInfo(graph: GraphRecord, info: SubgraphInfo): Writable {
  const side = (key: string, id: number, box: SubgraphInfo["inputBox"]): Json => {
    const raw = graph.raw[key];
    const bounding = [box.x, box.y, box.width, box.height];
    const before = isObject(raw) ? raw["bounding"] : undefined;
    if (isObject(raw) && (same(before, bounding) || isDefaultSide(before, box))) return raw;
    return { id, ...(isObject(raw) ? raw : {}), bounding };
  };
  const slot = (one: PublishedSlot): JsonObject => {
    const written: Writable = { ...one.raw };
    put(written, "id", one.id, one.raw["id"] === undefined && one.raw["name"] !== undefined);
    put(written, "name", one.name, text(one.raw["name"]) === one.name);
    put(written, "type", one.type, (typeof one.raw["type"] === "string" ? one.raw["type"] : "*") === one.type && one.raw["name"] !== undefined);
    putOptional(written, "label", one.label);
    const before = one.read ?? ids(one.raw["linkIds"]);
    if (!sameIds(before, one.links) || one.raw["linkIds"] === undefined) {
      if (one.links.length > 0 || one.raw["linkIds"] !== undefined || one.raw["name"] === undefined) {
        written["linkIds"] = one.links.map((id) => graph.links[id]?.fileId ?? id);
      }
    }
    return written;
  };
  const kept = (key: string, slots: readonly PublishedSlot[]): Writable =>
    slots.length === 0 && graph.raw[key] === undefined ? {} : { [key]: slots.map(slot) };
  return {
    ...(graph.raw["name"] === undefined && info.name === "Subgraph" ? {} : { name: info.name }),
    ...kept("inputs", info.inputs),
    ...kept("outputs", info.outputs),
    inputNode: side("inputNode", -10, info.inputBox),
    outputNode: side("outputNode", -20, info.outputBox),
  };
}

/** Whether a side has no readable box in the file and still stands where it was put for that reason. */
function isDefaultSide(before: Json | undefined, box: SubgraphInfo["inputBox"]): boolean {
  return !Array.isArray(before) && box.y === 0 && box.width === 120 && box.height === 60;
}

/** The keys that the root and the inside of a subgraph have in common. */
function writeGraph(document: Document, graph: GraphRecord): Writable {
  const maps = new Map(Object.values(graph.nodes).map((node) => [node.id, slotMap(node)]));
  const objectsWanted = graph.id !== ROOT || usesObjects(graph);
  const links = graph.linkOrder.flatMap((id): Json[] => {
    const link = graph.links[id];
    if (link === undefined) return id in graph.strays ? [graph.strays[id] ?? null] : [];
    const written = { ...link, toSlot: maps.get(link.to)?.[link.toSlot] ?? link.toSlot };
    return [writeLink(graph, written, objectsWanted)];
  });
  const nodes = graph.nodeOrder.flatMap((id, order): Json[] => {
    const node = graph.nodes[id];
    return node === undefined ? (id in graph.strays ? [graph.strays[id] ?? null] : []) : [writeNode(document, graph, node, order)];
  });
  return {
    ...writeNumbers(graph),
    nodes,
    ...(links.length === 0 && graph.raw["links"] == null ? {} : { links }),
    ...writeGroups(graph),
    ...writeReroutes(graph),
  };
}

function usesObjects(graph: GraphRecord): boolean {
  const links = graph.raw["links"];
  if (Array.isArray(links) && links.length > 0) return isObject((links as readonly Json[])[0]);
  return (finite(graph.raw["version"]) ?? 0) >= 1;
}

function writeNumbers(graph: GraphRecord): Writable {
  const most = (values: readonly (number | string)[]): number =>
    values.reduce<number>((highest, one) => (typeof one === "number" && one > highest ? one : highest), 0);
  const highest = {
    node: most(Object.values(graph.nodes).map((one) => one.fileId)),
    link: most(Object.values(graph.links).map((one) => one.fileId)),
    reroute: most(Object.values(graph.reroutes).map((one) => one.fileId)),
  };
  const written: Writable = {};
  for (const [key, value] of [["last_node_id", highest.node], ["last_link_id", highest.link]] as const) {
    const before = finite(graph.raw[key]);
    if (before !== undefined) written[key] = Math.max(before, value);
  }
  const state = graph.raw["state"];
  if (isObject(state)) {
    const fresh: Writable = { ...state };
    for (const [key, value] of [["lastNodeId", highest.node], ["lastLinkId", highest.link], ["lastRerouteId", highest.reroute]] as const) {
      if (value > (finite(state[key]) ?? 0)) fresh[key] = value;
    }
    written["state"] = fresh;
  }
  return written;
}

// ---- nodes

/** Which of the inputs are saved, in their order: those of the file, and added ones that are linked. */
function savedInputs(node: NodeRecord): InputSlot[] {
  const kept = node.inputs.filter((slot) => !slot.added || slot.link !== null);
  if (!kept.some((slot) => slot.added)) return kept;
  return inValueOrder(node, kept);
}

/**
 * Readers take the values by the order of the listed widgets once all are listed. So when the last one joins the list, the
 * widgets among `slots` take the order of the values.
 */
function inValueOrder(node: NodeRecord, slots: InputSlot[]): InputSlot[] {
  if (node.valueForm.kind !== "list") return slots;
  const names = node.valueForm.keys.flatMap((key) => (key.kind === "value" ? [key.name] : []));
  const widgets = slots.filter((slot) => slot.widget !== undefined);
  if (!names.every((name) => widgets.some((slot) => slot.widget === name))) return slots;
  const rank = (slot: InputSlot): number => (names.indexOf(slot.widget ?? "") + names.length + 1) % (names.length + 1);
  const sorted = widgets.toSorted((a, b) => rank(a) - rank(b));
  return slots.map((slot) => (slot.widget === undefined ? slot : (sorted.shift() ?? slot)));
}

/** Position of each input in the file, by its position here; -1 for one that is not saved. */
function slotMap(node: NodeRecord): number[] {
  const saved = savedInputs(node);
  return node.inputs.map((slot) => saved.indexOf(slot));
}

function writeNode(document: Document, graph: GraphRecord, node: NodeRecord, order: number): JsonObject {
  const raw = node.raw;
  const written: Writable = { ...raw, id: node.fileId, type: node.type };
  if (!samePoint(asPoint(raw["pos"]) ?? [0, 0], node.pos) || raw["id"] === undefined) written["pos"] = writePoint(raw["pos"], node.pos);
  if (!samePoint(asPoint(raw["size"]), node.size)) written["size"] = writePoint(raw["size"], node.size ?? [200, 100]);
  writeFlags(written, raw, node);
  if (raw["order"] === undefined && raw["id"] === undefined) written["order"] = order;
  put(written, "mode", node.mode, (finite(raw["mode"]) ?? 0) === node.mode && raw["id"] !== undefined);
  writeSlots(written, graph, node);
  putOptional(written, "title", node.title ?? undefined);
  const held = node.valueForm.kind === "instance" ? writeInstanceValues(document, node) : { ...writeValues(node), properties: node.properties };
  if (raw["properties"] !== undefined || Object.keys(held.properties).length > 0) {
    if (!same(isObject(raw["properties"]) ? raw["properties"] : {}, held.properties)) written["properties"] = held.properties;
  }
  for (const [key, value] of [["widgets_values", held.values], ["widgets_values_named", held.named]] as const) {
    if (value === undefined) delete written[key];
    else written[key] = value;
  }
  putOptional(written, "color", node.color ?? undefined);
  putOptional(written, "bgcolor", node.bgcolor ?? undefined);
  return written;
}

function writeFlags(written: Writable, raw: JsonObject, node: NodeRecord): void {
  const before = isObject(raw["flags"]) ? raw["flags"] : {};
  const flags: Writable = { ...before };
  for (const [key, value] of [["collapsed", node.collapsed], ["pinned", node.pinned]] as const) {
    if ((before[key] === true) === value) continue;
    if (value) flags[key] = true;
    else delete flags[key];
  }
  if (raw["flags"] === undefined ? raw["id"] === undefined || Object.keys(flags).length > 0 : !same(before, flags)) written["flags"] = flags;
}

function writeSlots(written: Writable, graph: GraphRecord, node: NodeRecord): void {
  const inputs = savedInputs(node);
  if (inputs.length > 0 || Array.isArray(node.raw["inputs"]) || node.raw["id"] === undefined) {
    written["inputs"] = inputs.map((slot) => writeInput(graph, slot));
  }
  const used = node.outputs.findLastIndex((slot) => !slot.added || (slot.links.length > 0 && slot.raw["name"] !== undefined));
  const outputs = node.outputs.slice(0, Math.max(used + 1, linkedOutputs(node)));
  if (outputs.length > 0 || Array.isArray(node.raw["outputs"]) || node.raw["id"] === undefined) {
    written["outputs"] = outputs.map((slot) => writeOutput(graph, slot));
  }
}

/** How many outputs must be saved for the links made here; those of the file's own links may be missing in it. */
function linkedOutputs(node: NodeRecord): number {
  return node.outputs.findLastIndex((slot) => slot.added && slot.links.length > 0 && !sameIds(slot.read ?? [], slot.links)) + 1;
}

function writeInput(graph: GraphRecord, slot: InputSlot): JsonObject {
  const fresh = slot.raw["name"] === undefined && slot.raw["type"] === undefined;
  const written: Writable = { ...slot.raw };
  put(written, "name", slot.name, text(slot.raw["name"]) === slot.name || (!fresh && slot.name === ""));
  put(written, "type", slot.type, !fresh && socketType(slot.raw["type"]) === slot.type);
  if (fresh && slot.widget !== undefined) written["widget"] = { name: slot.widget };
  putOptional(written, "label", slot.label);
  if (slot.link !== null) written["link"] = graph.links[slot.link]?.fileId ?? slot.link;
  else if (!slot.dangling && (fresh || (slot.raw["link"] !== undefined && slot.raw["link"] !== null))) written["link"] = null;
  return written;
}

function writeOutput(graph: GraphRecord, slot: OutputSlot): JsonObject {
  const fresh = slot.raw["name"] === undefined && slot.raw["type"] === undefined;
  const written: Writable = { ...slot.raw };
  if (fresh) Object.assign(written, { name: slot.name, type: slot.type });
  else {
    put(written, "name", slot.name, (text(slot.raw["name"]) ?? socketType(slot.raw["type"])) === slot.name);
    put(written, "type", slot.type, socketType(slot.raw["type"]) === slot.type);
  }
  putOptional(written, "label", slot.label);
  const before = slot.read ?? ids(slot.raw["links"]);
  if (fresh || !sameIds(before, slot.links)) written["links"] = slot.links.map((id) => graph.links[id]?.fileId ?? id);
  return written;
}

// ---- links, groups, reroutes

function writeLink(graph: GraphRecord, link: LinkRecord, asObject: boolean): Json {
  const before = readLink(link.raw);
  const parent = link.parent === null ? null : (graph.reroutes[link.parent]?.fileId ?? link.parent);
  if (before !== null && unchanged(link, before)) {
    const inRow = before.parent === (link.parent ?? null) || !isObject(link.raw);
    if (inRow) return link.raw;
  }
  const id = (node: string): number | string => graph.nodes[node]?.fileId ?? (/^-?\d+$/.test(node) ? Number(node) : node);
  if (isObject(link.raw) || (link.raw === null && asObject)) {
    const { parentId: _, ...rest } = isObject(link.raw) ? (link.raw as Writable) : {};
    const ends = { origin_id: id(link.from), origin_slot: link.fromSlot, target_id: id(link.to), target_slot: link.toSlot };
    return { ...rest, id: link.fileId, ...ends, type: link.type, ...(parent === null ? {} : { parentId: parent }) };
  }
  const tail = Array.isArray(link.raw) ? (link.raw as readonly Json[]).slice(6) : [];
  return [link.fileId, id(link.from), link.fromSlot, id(link.to), link.toSlot, link.type, ...tail];
}

function unchanged(link: LinkRecord, row: NonNullable<ReturnType<typeof readLink>>): boolean {
  const [from, fromSlot, to, toSlot] = link.repaired ?? [row.from, row.fromSlot, row.to, row.toSlot];
  return link.from === from && link.fromSlot === fromSlot && link.to === to && link.toSlot === toSlot && link.type === row.type;
}

function writeGroups(graph: GraphRecord): Writable {
  const before = graph.raw["groups"];
  const unreadable = Array.isArray(before) ? (before as readonly Json[]).filter((one) => !isObject(one)) : [];
  if (graph.groups.length === 0 && !Array.isArray(before)) return {};
  return { groups: [...graph.groups.map(writeGroup), ...unreadable] };
}

function writeGroup(group: GroupRecord): JsonObject {
  const { raw } = group;
  const fresh = raw["bounding"] === undefined && raw["title"] === undefined;
  const written: Writable = { ...raw };
  if (fresh && /^g\d+$/.test(group.id)) written["id"] = Number(group.id.slice(1));
  put(written, "title", group.title, (text(raw["title"]) ?? "") === group.title && !fresh);
  const bounding = [group.box.x, group.box.y, group.box.width, group.box.height];
  const held = isObject(raw["bounding"]) ? Object.values(raw["bounding"]) : raw["bounding"];
  const readable = Array.isArray(held) && held.length >= 4 && (held as readonly Json[]).slice(0, 4).every((one) => typeof one === "number");
  const untouched = readable ? same((held as readonly Json[]).slice(0, 4), bounding) : same(bounding, [0, 0, 200, 100]);
  put(written, "bounding", bounding, untouched && !fresh);
  putOptional(written, "color", group.color ?? undefined);
  putOptional(written, "font_size", group.fontSize ?? undefined);
  const flags = isObject(raw["flags"]) ? raw["flags"] : {};
  if ((flags["pinned"] === true) !== group.pinned) {
    const { pinned: _, ...rest } = flags as Writable;
    written["flags"] = group.pinned ? { ...rest, pinned: true } : rest;
  } else if (fresh) written["flags"] = {};
  return written;
}

/** Reroutes as they stand in the root of newer files and inside subgraphs. Others hold them in `extra`. */
function writeReroutes(graph: GraphRecord): Writable {
  if (!reroutesInGraph(graph)) return {};
  const list = rerouteList(graph);
  return list.length === 0 && graph.raw["reroutes"] === undefined ? {} : { reroutes: list };
}

function reroutesInGraph(graph: GraphRecord): boolean {
  return graph.id !== ROOT || graph.raw["reroutes"] !== undefined || usesObjects(graph);
}

function rerouteList(graph: GraphRecord): Json[] {
  const readable = graph.rerouteOrder.flatMap((id): Json[] => {
    const one = graph.reroutes[id];
    if (one === undefined) return [];
    const links = linksOver(graph, id);
    const written: Writable = { ...one.raw };
    put(written, "id", one.fileId, one.raw["id"] !== undefined);
    if (!samePoint(asPoint(one.raw["pos"]), one.pos)) written["pos"] = [...one.pos];
    const before = isId(one.raw["parentId"]) ? String(one.raw["parentId"]) : null;
    if (before !== one.parent && !(one.parent === null && before !== null && !(before in graph.reroutes))) {
      if (one.parent === null) delete written["parentId"];
      else written["parentId"] = graph.reroutes[one.parent]?.fileId ?? one.parent;
    }
    if (one.read === null || !sameIds([...one.read].sort(), [...links].sort())) {
      written["linkIds"] = links.map((link) => graph.links[link]?.fileId ?? link);
    }
    return [written];
  });
  return readable;
}

function writeExtra(document: Document, root: GraphRecord): JsonObject {
  const extra: Writable = { ...document.extra };
  const { view } = document;
  const ds = extra["ds"];
  if (view !== null && !(isObject(ds) && ds["scale"] === view.scale && samePoint(asPoint(ds["offset"]), view.offset))) {
    extra["ds"] = { ...(isObject(ds) ? ds : {}), scale: view.scale, offset: [...view.offset] };
  }
  if (reroutesInGraph(root)) return extra;
  const reroutes = rerouteList(root);
  if (reroutes.length > 0 || Array.isArray(extra["reroutes"])) extra["reroutes"] = reroutes;
  const extensions = linkExtensions(root, extra["linkExtensions"]);
  if (extensions.length > 0 || Array.isArray(extra["linkExtensions"])) extra["linkExtensions"] = extensions;
  return extra;
}

function linkExtensions(root: GraphRecord, before: Json | undefined): Json[] {
  const wanted = new Map(
    linksOf(root).flatMap((link) => (link.parent === null ? [] : [[link.id, root.reroutes[link.parent]?.fileId ?? link.parent] as const])),
  );
  const kept = (Array.isArray(before) ? (before as readonly Json[]) : []).flatMap((one): Json[] => {
    if (!isObject(one) || !isId(one["id"])) return [one];
    const id = String(one["id"]);
    const parent = wanted.get(id);
    wanted.delete(id);
    if (parent !== undefined) return [same(one["parentId"], parent) ? one : { ...one, parentId: parent }];
    // One whose link or reroute was removed goes; one that never meant anything here stays.
    return Object.values(root.strays).some((stray) => readLink(stray)?.fileId === one["id"]) ? [one] : [];
  });
  return [...kept, ...[...wanted].map(([id, parent]) => ({ id: root.links[id]?.fileId ?? id, parentId: parent }))];
}

// ---- writing one key

/** Write `key` unless the file's own value means the same. */
function put(written: Writable, key: string, value: Json, unchangedInFile: boolean): void {
  if (!unchangedInFile) written[key] = value;
}

/** Write a key that may be absent: a text or number, or undefined for none. */
function putOptional(written: Writable, key: string, value: string | number | undefined): void {
  const before = written[key];
  if (value !== undefined) written[key] = value;
  else if (typeof before === "string" || typeof before === "number") {
    if (before !== "" || key !== "label") delete written[key];
  }
}

function samePoint(a: Point | null, b: Point | null): boolean {
  return a === null || b === null ? a === b : a[0] === b[0] && a[1] === b[1];
}

function writePoint(before: Json | undefined, point: Point): Json {
  return isObject(before) ? { ...before, 0: point[0], 1: point[1] } : [...point];
}

function ids(raw: Json | undefined): string[] {
  return Array.isArray(raw) ? (raw as readonly Json[]).map(String) : [];
}
