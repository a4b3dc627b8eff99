/** Edits of nodes. All edits take a draft; `store.edit` makes it, and a step of the history from what they changed. */
import type { Definitions, NodeDefinition } from "../definitions";
import { VIRTUAL, widgetsOf } from "../definitions";
import { type DocumentDraft, type GraphDraft, type NodeDraft, graphIn, nextNumber, nodesIn } from "../drafts";
import { onGrid } from "../geometry";
import { graphOf } from "../graphs";
import { definitionOf } from "../instances";
import { newSize } from "../layout";
import { newInputs, newOutputs } from "../slots";
import {
  type Document,
  type GraphId,
  type GroupId,
  type Json,
  MODE_NORMAL,
  type NodeId,
  type NodeMode,
  type NodeRecord,
  type Point,
  type RerouteId,
} from "../types";
import { defaultValue, newForm } from "../values";
import { nextSeeds } from "../widgets";

export interface NewNode {
  readonly title?: string;
  readonly values?: Readonly<Record<string, Json>>;
  readonly size?: Point;
  readonly properties?: Readonly<Record<string, Json>>;
}

/** Add a node with the defaults of its definition. `pos` is the top left of its body. Returns its id. */
export function addNode(
  draft: DocumentDraft,
  graphId: GraphId,
  definitions: Definitions,
  type: string,
  pos: Point,
  options: NewNode = {},
): NodeId {
  const graph = graphIn(draft, graphId);
  const number = nextNumber(draft, "node");
  const node = newNode(draft as Document, definitions, type, number, options);
  const id = String(number);
  graph.nodes[id] = { ...node, pos } as NodeDraft;
  graph.nodeOrder.push(id);
  return id;
}

/** The record of a new node, which stands nowhere yet. */
export function newNode(document: Document, definitions: Definitions, type: string, number: number, options: NewNode = {}): NodeRecord {
  const blank: NodeRecord = {
    id: String(number),
    fileId: number,
    type,
    pos: [0, 0],
    size: options.size ?? null,
    mode: MODE_NORMAL,
    collapsed: false,
    pinned: false,
    title: options.title ?? null,
    color: null,
    bgcolor: null,
    inputs: [],
    outputs: [],
    values: {},
    controls: {},
    valueForm: { kind: "list", keys: [] },
    properties: options.properties ?? {},
    raw: {},
  };
  const instance = graphOf(document, type)?.subgraph != null;
  const definition = instance ? definitionOf(document, definitions, blank) : (definitions.get(type) ?? VIRTUAL.get(type));
  if (definition === undefined) return { ...blank, size: options.size ?? [200, 100], values: { ...options.values } };
  const slots = { inputs: newInputs(definition), outputs: newOutputs(definition) };
  const node = { ...blank, ...slots, ...newValues(definition, options.values ?? {}, instance) };
  return {
    ...node,
    size: options.size ?? newSize(node, definition),
    properties: definition.virtual ? node.properties : { ...node.properties, "Node name for S&R": type },
  };
}

/** An instance of a subgraph has no values at first: those inside count. */
function newValues(
  definition: NodeDefinition,
  given: Readonly<Record<string, Json>>,
  instance: boolean,
): Pick<NodeRecord, "values" | "controls" | "valueForm"> {
  const widgets = widgetsOf(definition);
  const values: Record<string, Json> = {};
  for (const one of widgets) values[one.name] = defaultValue(one);
  if (instance) return { values: { ...given }, controls: {}, valueForm: { kind: "instance" } };
  const controls = widgets.filter((one) => one.seed).map((one) => [one.name, "randomize"] as const);
  return { values: { ...values, ...given }, controls: Object.fromEntries(controls), valueForm: newForm(definition) };
}

export function moveNodes(draft: DocumentDraft, graphId: GraphId, ids: Iterable<NodeId>, delta: Point): void {
  moveItems(draft, graphId, { nodes: ids }, delta);
}

export interface Items {
  readonly nodes?: Iterable<NodeId>;
  readonly groups?: Iterable<GroupId>;
  readonly reroutes?: Iterable<RerouteId>;
}

/** Move nodes, groups and reroutes together. What is pinned stays. */
export function moveItems(draft: DocumentDraft, graphId: GraphId, items: Items, [dx, dy]: Point): void {
  if (dx === 0 && dy === 0) return;
  const graph = graphIn(draft, graphId);
  for (const node of nodesIn(graph, items.nodes ?? [])) {
    if (!node.pinned) node.pos = [node.pos[0] + dx, node.pos[1] + dy];
  }
  const groups = new Set(items.groups);
  for (const group of graph.groups) {
    if (groups.has(group.id) && !group.pinned) group.box = { ...group.box, x: group.box.x + dx, y: group.box.y + dy };
  }
  for (const id of items.reroutes ?? []) {
    const reroute = graph.reroutes[id];
    if (reroute !== undefined) reroute.pos = [reroute.pos[0] + dx, reroute.pos[1] + dy];
  }
}

export function setPosition(draft: DocumentDraft, graphId: GraphId, id: NodeId, pos: Point): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) {
    if (!node.pinned && (node.pos[0] !== pos[0] || node.pos[1] !== pos[1])) node.pos = [...pos];
  }
}

/** Positions for several nodes at once, as a layout gives them. */
export function setPositions(draft: DocumentDraft, graphId: GraphId, positions: Readonly<Record<NodeId, Point>>): void {
  for (const [id, pos] of Object.entries(positions)) setPosition(draft, graphId, id, pos);
}

/** Give a node another body size, and another place if it was drawn larger to the left or top. */
export function resizeNode(draft: DocumentDraft, graphId: GraphId, id: NodeId, size: Point | null, pos?: Point): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) {
    if (node.pinned) continue;
    node.size = size === null ? null : [Math.max(40, size[0]), Math.max(16, size[1])];
    if (pos !== undefined) node.pos = [...pos];
  }
}

/** The size that a new node of its kind has. */
export function resetSize(draft: DocumentDraft, graphId: GraphId, definitions: Definitions, ids: Iterable<NodeId>): void {
  for (const node of nodesIn(graphIn(draft, graphId), ids)) {
    const record = node as NodeRecord;
    if (!node.pinned) node.size = [...newSize(record, definitionOf(draft as Document, definitions, record, graphId))];
  }
}

export function setValue(draft: DocumentDraft, graphId: GraphId, id: NodeId, name: string, value: Json): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) {
    if (node.valueForm.kind !== "opaque") (node.values as Record<string, Json>)[name] = value;
  }
}

/** What happens to a seed after a run. */
export function setControl(draft: DocumentDraft, graphId: GraphId, id: NodeId, name: string, control: string): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) node.controls[name] = control;
}

/** Let the seeds of the whole document do what they shall do after a run. */
export function applyAfterRun(draft: DocumentDraft, definitions: Definitions, random: () => number = Math.random): void {
  for (const graph of Object.values(draft.graphs)) {
    for (const node of Object.values(graph.nodes)) {
      const next = nextSeeds(node as NodeRecord, definitions, random);
      for (const [name, value] of Object.entries(next)) {
        const values = node.values as Record<string, Json>;
        if (values[name] !== value) values[name] = value;
      }
    }
  }
}

export function setMode(draft: DocumentDraft, graphId: GraphId, ids: Iterable<NodeId>, mode: NodeMode): void {
  for (const node of nodesIn(graphIn(draft, graphId), ids)) node.mode = mode;
}

/** Mute, bypass… nodes; back to normal if all of them are so already. */
export function toggleMode(draft: DocumentDraft, graphId: GraphId, ids: Iterable<NodeId>, mode: NodeMode): void {
  const nodes = nodesIn(graphIn(draft, graphId), ids);
  const next = nodes.every((node) => node.mode === mode) ? MODE_NORMAL : mode;
  for (const node of nodes) node.mode = next;
}

/** Null or an empty title: the name of its definition. */
export function setTitle(draft: DocumentDraft, graphId: GraphId, id: NodeId, title: string | null): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) node.title = title === "" ? null : title;
}

export function setColor(
  draft: DocumentDraft,
  graphId: GraphId,
  ids: Iterable<NodeId>,
  colors: { readonly color: string | null; readonly bgcolor: string | null } | null,
): void {
  for (const node of nodesIn(graphIn(draft, graphId), ids)) {
    node.color = colors?.color ?? null;
    node.bgcolor = colors?.bgcolor ?? null;
  }
}

export function setCollapsed(draft: DocumentDraft, graphId: GraphId, ids: Iterable<NodeId>, collapsed: boolean): void {
  for (const node of nodesIn(graphIn(draft, graphId), ids)) node.collapsed = collapsed;
}

export function setPinned(draft: DocumentDraft, graphId: GraphId, items: Iterable<NodeId>, pinned: boolean): void {
  for (const node of nodesIn(graphIn(draft, graphId), items)) node.pinned = pinned;
}

/** Undefined removes the property. */
export function setProperty(draft: DocumentDraft, graphId: GraphId, id: NodeId, key: string, value: Json | undefined): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) {
    const properties = node.properties as Record<string, Json>;
    if (value === undefined) delete properties[key];
    else properties[key] = value;
  }
}

/** Show a widget's socket though nothing is linked to it, or no longer. */
export function setWidgetAsInput(draft: DocumentDraft, graphId: GraphId, id: NodeId, widget: string, on: boolean): void {
  for (const node of nodesIn(graphIn(draft, graphId), [id])) {
    const before = node.properties["safelight.inputs"];
    const names = (Array.isArray(before) ? (before as readonly Json[]) : []).filter((one) => one !== widget);
    const next = on ? [...names, widget] : names;
    setProperty(draft, graphId, id, "safelight.inputs", next.length === 0 ? undefined : next);
  }
}

/** Draw nodes above all others. */
export function bringToFront(draft: DocumentDraft, graphId: GraphId, ids: Iterable<NodeId>): void {
  const graph = graphIn(draft, graphId);
  const front = new Set([...ids].filter((id) => id in graph.nodes));
  const order = [...graph.nodeOrder.filter((id) => !front.has(id)), ...graph.nodeOrder.filter((id) => front.has(id))];
  if (order.some((id, at) => id !== graph.nodeOrder[at])) graph.nodeOrder = order;
}

/** Put nodes and reroutes on the grid. */
export function snap(draft: DocumentDraft, graphId: GraphId, ids: Iterable<NodeId>, grid: number): void {
  for (const node of nodesIn(graphIn(draft, graphId), ids)) {
    const pos: Point = [onGrid(node.pos[0], grid), onGrid(node.pos[1], grid)];
    setPosition(draft, graphId, node.id, pos);
  }
}

/** Take nodes out of their graph, with nothing said to their links. */
export function dropNode(graph: GraphDraft, id: NodeId): void {
  delete graph.nodes[id];
  graph.nodeOrder = graph.nodeOrder.filter((one) => one !== id);
}
