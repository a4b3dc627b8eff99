/** From the JSON of a saved workflow to a document. What cannot be a workflow is refused with a message for people. */
import type { Definitions, NodeDefinition } from "./definitions";
import { isMissing } from "./definitions";
import { shapeOf, shapeOfSaved } from "./dynamic";
import { instanceProblems, withInstances } from "./instanceNodes";
import { asPoint, finite, isObject, objects } from "./json";
import { withPlaces } from "./parameterPlaces";
import { GraphReader } from "./read";
import { withDefinedInputs, withDefinedOutputs, withoutAdded } from "./slots";
import {
  type Counters,
  type Document,
  type GraphId,
  type GraphRecord,
  type Json,
  type JsonObject,
  type LoadProblem,
  type NodeRecord,
  ROOT,
  type View,
} from "./types";
import { readValues } from "./values";

export type LoadErrorKind = "not-json" | "prompt" | "newer" | "foreign" | "empty" | "broken";

/** Why a file does not open. `kind` "prompt": the server can convert it (`convert?to=workflow`). */
export class LoadError extends Error {
  override readonly name = "LoadError";
  constructor(
    readonly kind: LoadErrorKind,
    message: string,
    readonly hint = "",
  ) {
    super(message);
  }
}

export interface Loaded {
  readonly document: Document;
  readonly problems: LoadProblem[];
  /** Types of nodes that nothing here knows, each once. */
  readonly missingTypes: string[];
}

/** The newest format of saved workflows that is read and written here; newer ones may mean something else. */
const NEWEST_VERSION = 1;

export function parseWorkflowText(source: string): unknown {
  try {
    return JSON.parse(source.charCodeAt(0) === 0xfeff ? source.slice(1) : source) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError("not-json", `This is no JSON: ${reason}`, "The file may be damaged or cut off.");
  }
}

/** Whole numbers in a JSON text that JavaScript cannot hold: they would be saved as others. */
export function inexactNumbers(source: string): string[] {
  const tokens = source.match(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g) ?? [];
  return tokens.filter((one) => !one.startsWith('"') && BigInt(one) !== BigInt(Number(one)));
}

export function loadWorkflow(json: unknown, definitions: Definitions): Loaded {
  const workflow = checked(json);
  const problems: LoadProblem[] = [];
  const graphs: Record<GraphId, GraphRecord> = {};
  const subgraphs = definitionsIn(workflow);
  const ids = new Set(subgraphs.map((one) => String(one["id"])));
  const readGraph = (id: GraphId, raw: JsonObject): void => {
    const known = (node: JsonObject): NodeDefinition | undefined => {
      const definition = ids.has(String(node["type"])) ? undefined : definitions.get(String(node["type"]));
      return definition && shapeOfSaved(node, definition, readValues);
    };
    const reader = new GraphReader(id, raw, known);
    graphs[id] = reader.read();
    problems.push(...reader.problems);
  };
  readGraph(ROOT, workflow);
  for (const raw of subgraphs) readGraph(String(raw["id"]), raw);
  const extra = isObject(workflow["extra"]) ? workflow["extra"] : {};
  const order = subgraphs.map((one) => String(one["id"]));
  const read: Document = {
    graphs,
    subgraphOrder: order,
    view: readView(extra["ds"]),
    extra,
    counters: countersOf(graphs),
    raw: workflow,
  };
  const document = withPlaces(withInstances(read, definitions));
  problems.push(...instanceProblems(document));
  return { document, problems, missingTypes: missingTypes(document, definitions) };
}

export function missingTypes(document: Document, definitions: Definitions): string[] {
  const nodes = Object.values(document.graphs).flatMap((graph) => Object.values(graph.nodes));
  return [...new Set(nodes.filter((node) => isMissing(document, definitions, node)).map((node) => node.type))].sort();
}

/** A document with nothing in it. */
export function emptyDocument(): Document {
  const raw: JsonObject = {
    last_node_id: 0,
    last_link_id: 0,
    nodes: [],
    links: [],
    groups: [],
    config: {},
    extra: {},
    version: 0.4,
  };
  return loadWorkflow(raw, new Map()).document;
}

// ---- what kind of file is it

function checked(json: unknown): JsonObject {
  if (!isObject(json)) throw new LoadError("foreign", "This is no workflow.", "A workflow is a JSON object with a list of nodes.");
  const kind = foreignKind(json);
  if (kind !== null) throw kind;
  const version = finite(json["version"]);
  if (version !== undefined && version >= NEWEST_VERSION + 1) {
    throw new LoadError(
      "newer",
      `This workflow has format version ${version}; the newest known here is ${NEWEST_VERSION}.`,
      "Update Safelight, or save the workflow in an older format. The file was not changed.",
    );
  }
  if (json["links"] !== undefined && json["links"] !== null && typeof json["links"] !== "object") {
    throw new LoadError("broken", "The links of this workflow are not a list.", "The file may be damaged.");
  }
  return json;
}

function foreignKind(json: JsonObject): LoadError | null {
  const nodes = json["nodes"];
  if (Array.isArray(json["edges"]) && (Array.isArray(nodes) || isObject(nodes))) {
    return new LoadError("foreign", "This is a workflow of InvokeAI, whose nodes are others.", "Rebuild the graph here from its settings.");
  }
  if (Array.isArray(nodes)) return null;
  if (Object.keys(json).length === 0) return new LoadError("empty", "This file holds no graph: it is empty.");
  if (nodes !== undefined && "links" in json) {
    return new LoadError("broken", "The nodes of this workflow are not a list.", "The file may be damaged.");
  }
  const held = ["prompt", "output", "workflow"].some((key) => isObject(json[key]));
  if (held || Object.values(json).some((one) => isObject(one) && "class_type" in one)) {
    return new LoadError("prompt", "This is a graph in the form that runs, without a layout.", "It can be converted by the server.");
  }
  if ("_class_name" in json) {
    return new LoadError("foreign", "This describes the parts of a diffusers model, not a graph.", "Put its folder under models/ and load it from a graph.");
  }
  if (typeof json["prompt"] === "string" || "sd_model_checkpoint" in json) {
    return new LoadError("foreign", "These are settings of the Stable Diffusion web UI, not a graph.");
  }
  return new LoadError("foreign", "This is no workflow: it has no list of nodes.");
}

/** Definitions of subgraphs, also those held inside others. */
function definitionsIn(workflow: JsonObject): JsonObject[] {
  const found = new Map<string, JsonObject>();
  const add = (holder: JsonObject): void => {
    const held = holder["definitions"];
    for (const one of objects(isObject(held) ? held["subgraphs"] : undefined)) {
      if (typeof one["id"] !== "string" || one["id"] === ROOT || found.has(one["id"])) continue;
      found.set(one["id"], one);
      add(one);
    }
  };
  add(workflow);
  return [...found.values()];
}

function readView(raw: Json | undefined): View | null {
  if (!isObject(raw)) return null;
  const [scale, offset] = [finite(raw["scale"]), asPoint(raw["offset"])];
  return scale === undefined || scale <= 0 || offset === null ? null : { scale, offset };
}

// ---- numbers

function countersOf(graphs: Readonly<Record<GraphId, GraphRecord>>): Counters {
  const all = Object.values(graphs);
  const state = (graph: GraphRecord, key: string, old?: string): number => {
    const held = graph.raw["state"];
    return Math.max(number(isObject(held) ? held[key] : 0), number(old === undefined ? 0 : graph.raw[old]));
  };
  const highest = (values: readonly (number | string)[]): number => values.reduce<number>((most, one) => Math.max(most, number(one)), 0);
  return {
    node: highest(all.flatMap((g) => [state(g, "lastNodeId", "last_node_id"), ...Object.keys(g.nodes)])),
    link: highest(all.flatMap((g) => [state(g, "lastLinkId", "last_link_id"), ...rowIds(g.raw["links"])])),
    reroute: highest(all.flatMap((g) => [state(g, "lastRerouteId"), ...Object.keys(g.reroutes)])),
    group: highest(all.flatMap((g) => [state(g, "lastGroupId"), g.groups.length, ...g.groups.map((one) => number(one.raw["id"]))])),
  };
}

function rowIds(links: Json | undefined): (number | string)[] {
  const rows = Array.isArray(links) ? (links as readonly Json[]) : isObject(links) ? Object.values(links) : [];
  return rows.map((row) => number(Array.isArray(row) ? (row as readonly Json[])[0] : isObject(row) ? row["id"] : 0));
}

/** A number or the number that a text is; 0 for all else. */
function number(value: Json | undefined): number {
  const read = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof read === "number" && Number.isSafeInteger(read) && read > 0 ? read : 0;
}

// ---- when the definitions change

/** `document` with the inputs, outputs and values that `definitions` now tell of. The same records where nothing changes. */
export function refreshDefinitions(document: Document, definitions: Definitions): Document {
  let changed = false;
  const graphs = Object.fromEntries(
    Object.entries(document.graphs).map(([id, graph]) => {
      const nodes = refreshNodes(document, graph, definitions);
      changed ||= nodes !== graph.nodes;
      return [id, nodes === graph.nodes ? graph : { ...graph, nodes }];
    }),
  );
  return withInstances(changed ? { ...document, graphs } : document, definitions);
}

function refreshNodes(document: Document, graph: GraphRecord, definitions: Definitions): GraphRecord["nodes"] {
  let changed = false;
  const entries = Object.entries(graph.nodes).map(([id, node]) => {
    if (document.graphs[node.type] !== undefined) return [id, node] as const;
    const fresh = refreshNode(node, definitions.get(node.type));
    changed ||= fresh !== node;
    return [id, fresh] as const;
  });
  return changed ? Object.fromEntries(entries) : graph.nodes;
}

function refreshNode(node: NodeRecord, declared: NodeDefinition | undefined): NodeRecord {
  if (declared === undefined) return node;
  const definition = node.valueForm.kind === "opaque" ? shapeOfSaved(node.raw, declared, readValues) : shapeOf(node, declared);
  const inputs = withDefinedInputs(markWidgets(withoutAdded(node.inputs), definition), definition);
  const outputs = withDefinedOutputs(withoutAdded(node.outputs), definition);
  const same = (a: readonly { name: string; widget?: string }[], b: readonly { name: string; widget?: string }[]): boolean =>
    a.length === b.length && a.every((one, at) => one.name === b[at]?.name && one.widget === b[at].widget);
  const slots = {
    inputs: same(inputs, node.inputs) ? node.inputs : inputs,
    outputs: same(outputs, node.outputs) ? node.outputs : outputs,
  };
  const values = refreshValues(node, definition);
  if (slots.inputs === node.inputs && slots.outputs === node.outputs && values === null) return node;
  return Object.freeze({ ...node, ...slots, ...values });
}

/** Values read again if they could not be read before; only their layout if they could. */
function refreshValues(node: NodeRecord, definition: NodeDefinition): Partial<NodeRecord> | null {
  const form = node.valueForm;
  if (form.kind === "dict" || form.kind === "instance") return null;
  const read = readValues(node.raw, definition);
  if (form.kind === "opaque") return { values: read.values, controls: read.controls, valueForm: read.form };
  const layout = read.form.kind === "list" ? read.form.layout : undefined;
  if (layout === undefined || JSON.stringify(layout) === JSON.stringify(form.layout)) return null;
  return { valueForm: { ...form, layout } };
}

function markWidgets(slots: NodeRecord["inputs"], definition: NodeDefinition): NodeRecord["inputs"] {
  const widgets = new Set(definition.inputs.filter((one) => one.kind !== "socket").map((one) => one.name));
  if (!slots.some((slot) => slot.widget === undefined && widgets.has(slot.name))) return slots;
  return slots.map((slot) => (slot.widget === undefined && widgets.has(slot.name) ? { ...slot, widget: slot.name } : slot));
}
