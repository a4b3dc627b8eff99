/**
 * Which node a parameter means in a file that another editor has numbered anew. Such editors leave `extra` as it is, so each
 * node also carries what it stands for, in `properties.safelight`, and each entry the type and title of its node. The server
 * finds them in the same order (engine/graph/declared.py): the mark, the id if the type fits, the one node of that type.
 */
import { graphOf } from "./graphs";
import { isId, isObject, objects, same, text } from "./json";
import { nodeAt, promptId } from "./scope";
import { type Document, type Json, type JsonObject, type NodeId, type NodeRecord, ROOT } from "./types";

const KINDS = ["parameters", "outputs"] as const;
type Kind = (typeof KINDS)[number];

const DEEPEST = 16;

/** Marks of one node: input → name, and the name of its output. */
interface Held {
  readonly parameters: Readonly<Record<string, string>>;
  readonly output?: string;
}

// ---- when a file is opened

/** The document with every entry at the node that it means. One that needs no change is given back as it is. */
export function withPlaces(document: Document): Document {
  const own = document.extra["safelight"];
  if (!isObject(own)) return document;
  const marked = markedNodes(document);
  const placed: Record<string, Json> = { ...own };
  for (const kind of KINDS) {
    if (Array.isArray(own[kind])) placed[kind] = (own[kind] as readonly Json[]).map((one) => (isObject(one) ? atPlace(document, marked, kind, one) : one));
  }
  return same(own, placed) ? document : { ...document, extra: { ...document.extra, safelight: placed } };
}

function atPlace(document: Document, marked: ReadonlyMap<string, NodeId>, kind: Kind, one: JsonObject): JsonObject {
  const input = kind === "outputs" ? "" : (text(one["input"]) ?? "");
  const node = marked.get(keyOf(input, text(one["name"]) ?? "")) ?? byType(document, one);
  return node === undefined || (isId(one["node"]) && String(one["node"]) === node) ? one : { ...one, node };
}

function markedNodes(document: Document): Map<string, NodeId> {
  const found = new Map<string, NodeId>();
  for (const node of rootNodes(document)) {
    for (const key of keysOf(heldBy(node))) if (!found.has(key)) found.set(key, node.id);
  }
  return found;
}

/** The one node of the entry's type, if the node of its id is of another. */
function byType(document: Document, one: JsonObject): string | undefined {
  const kind = text(one["class_type"]);
  const at = isId(one["node"]) ? nodeAt(document, String(one["node"])) : null;
  if (kind === undefined || at?.node.type === kind) return undefined;
  const alike = [...everyNode(document, ROOT, [])].filter(({ node }) => node.type === kind);
  const titled = alike.filter(({ node }) => node.title !== null && node.title === one["title"]);
  const found = titled.length > 0 ? titled : alike;
  return found.length === 1 ? found[0]?.place : undefined;
}

function* everyNode(document: Document, graphId: string, path: readonly NodeId[]): Generator<{ place: string; node: NodeRecord }> {
  for (const node of Object.values(graphOf(document, graphId)?.nodes ?? {})) {
    yield { place: promptId(path, node.id), node };
    if (graphOf(document, node.type)?.subgraph && path.length < DEEPEST) yield* everyNode(document, node.type, [...path, node.id]);
  }
}

// ---- when a file is written

/**
 * The document as it is written: marks on the nodes that the entries mean, and on no other, such as a copy of one. What a file
 * had is left alone while its entries are as they were.
 */
export function withMarks(document: Document): Document {
  const own = document.extra["safelight"];
  const before = isObject(document.raw["extra"]) ? document.raw["extra"]["safelight"] : undefined;
  const fresh = !same(own, before);
  const told = fresh && isObject(own) ? { ...document, extra: { ...document.extra, safelight: withTypes(document, own) } } : document;
  const wanted = wantedMarks(document);
  const root = document.graphs[ROOT];
  if (root === undefined) return told;
  const changed = Object.values(root.nodes).flatMap((node) => {
    const held = heldBy(node);
    const marks = wanted.get(node.id) ?? { parameters: {} };
    const next = fresh ? marks : common(held, marks);
    return same(asJson(held), asJson(next)) ? [] : [withHeld(node, next)];
  });
  if (changed.length === 0) return told;
  const nodes = { ...root.nodes, ...Object.fromEntries(changed.map((node) => [node.id, node])) };
  return { ...told, graphs: { ...told.graphs, [ROOT]: { ...root, nodes } } };
}

/** The entries with the type and the title of their nodes. */
function withTypes(document: Document, own: JsonObject): JsonObject {
  const told: Record<string, Json> = { ...own };
  for (const kind of KINDS) {
    if (Array.isArray(own[kind])) told[kind] = (own[kind] as readonly Json[]).map((one) => (isObject(one) ? withType(document, one) : one));
  }
  return told;
}

function withType(document: Document, one: JsonObject): JsonObject {
  const found = isId(one["node"]) ? nodeAt(document, String(one["node"])) : null;
  if (found === null || graphOf(document, found.node.type)?.subgraph) return one;
  const { title: _, ...rest } = one;
  return { ...rest, class_type: found.node.type, ...(found.node.title === null ? {} : { title: found.node.title }) };
}

function wantedMarks(document: Document): Map<NodeId, Held> {
  const wanted = new Map<NodeId, Held>();
  const own = document.extra["safelight"];
  const entries = (kind: Kind): JsonObject[] => objects(isObject(own) ? own[kind] : undefined);
  for (const one of entries("parameters")) {
    const [name, input, node] = [text(one["name"]), text(one["input"]), String(one["node"])];
    const held = wanted.get(node) ?? { parameters: {} };
    if (name !== undefined && input !== undefined && held.parameters[input] === undefined) wanted.set(node, { ...held, parameters: { ...held.parameters, [input]: name } });
  }
  for (const one of entries("outputs")) {
    const [name, node] = [text(one["name"]), String(one["node"])];
    const held = wanted.get(node) ?? { parameters: {} };
    if (name !== undefined && held.output === undefined) wanted.set(node, { ...held, output: name });
  }
  return wanted;
}

// ---- the marks of one node

function heldBy(node: NodeRecord): Held {
  const own = node.properties["safelight"];
  if (!isObject(own)) return { parameters: {} };
  const names = isObject(own["parameters"]) ? own["parameters"] : {};
  const parameters = Object.fromEntries(Object.entries(names).filter((one): one is [string, string] => typeof one[1] === "string"));
  const output = text(own["output"]);
  return { parameters, ...(output === undefined ? {} : { output }) };
}

function withHeld(node: NodeRecord, held: Held): NodeRecord {
  const { safelight: before, ...others } = node.properties;
  const { parameters: _, output: __, ...rest } = isObject(before) ? before : ({} as JsonObject);
  const next = { ...rest, ...asJson(held) };
  return { ...node, properties: Object.keys(next).length === 0 ? others : { ...others, safelight: next } };
}

function common(held: Held, wanted: Held): Held {
  const parameters = Object.fromEntries(Object.entries(held.parameters).filter(([input, name]) => wanted.parameters[input] === name));
  return { parameters, ...(held.output !== undefined && held.output === wanted.output ? { output: held.output } : {}) };
}

function asJson(held: Held): JsonObject {
  return { ...(Object.keys(held.parameters).length === 0 ? {} : { parameters: held.parameters }), ...(held.output === undefined ? {} : { output: held.output }) };
}

function keysOf(held: Held): string[] {
  const inputs = Object.entries(held.parameters).map(([input, name]) => keyOf(input, name));
  return held.output === undefined ? inputs : [...inputs, keyOf("", held.output)];
}

function keyOf(input: string, name: string): string {
  return JSON.stringify([input, name]);
}

/** In the order of the file: of two nodes with one mark the first is the original. */
function rootNodes(document: Document): NodeRecord[] {
  const root = document.graphs[ROOT];
  return root === undefined ? [] : root.nodeOrder.flatMap((id) => root.nodes[id] ?? []);
}
