/**
 * Where everything on a node is, computed from its records alone: the canvas needs boxes and sockets of nodes that are not
 * mounted, so nothing is left to CSS. Heights follow the saved files of the field: a node's `pos` and `size` are those of
 * its body, with a title bar above.
 */
import { type InputDefinition, type NodeDefinition, isWidget, widgetsOf } from "./definitions";
import type { Box, NodeRecord, Point } from "./types";

export const TITLE_HEIGHT = 30;
export const SLOT_HEIGHT = 20;
export const WIDGET_HEIGHT = 24;
export const BODY_PADDING = 4;
/** Above and below what stands in the row of a widget, together. */
const ROW_PADDING = 4;
/** Between the sockets and the widgets, and under the last row. */
export const GAP = 4;
export const TEXT_HEIGHT = 60;
/** What a new node gives a text of several lines. */
export const NEW_TEXT_HEIGHT = 110;
export const GRID = 10;
const LEAST_WIDTH = 80;
const REROUTE: Point = [75, 26];
/** Mean width of a letter at the size of labels and titles. */
const LETTER = 7;

export type Side = "input" | "output";

export interface HandleGeometry {
  readonly id: string;
  readonly side: Side;
  readonly slot: number;
  /** Centre, from the top left corner of the node. */
  readonly x: number;
  readonly y: number;
  /** A socket of a widget that has no link: shown when pointed at, or while a link is dragged. */
  readonly hidden: boolean;
}

export interface SocketRow {
  readonly kind: "sockets";
  readonly y: number;
  readonly height: number;
  readonly input: number | null;
  readonly output: number | null;
}

export interface WidgetRow {
  readonly kind: "widget";
  readonly y: number;
  readonly height: number;
  readonly name: string;
  /** Position among the inputs of the node; -1 if it has no socket. */
  readonly input: number;
  readonly definition: InputDefinition;
}

export type Row = SocketRow | WidgetRow;

export interface NodeGeometry {
  readonly x: number;
  /** Top of the title bar. */
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly titleHeight: number;
  readonly rows: readonly Row[];
  /** Room for pictures and texts that a run gives. */
  readonly preview: { readonly y: number; readonly height: number } | null;
  readonly handles: readonly HandleGeometry[];
}

export interface GeometryOptions {
  /** Least height of the room for previews; none without it. */
  readonly preview?: number;
  /** Leave out advanced widgets that are not linked. */
  readonly hideAdvanced?: boolean;
}

export function inputHandle(slot: number): string {
  return `i${slot}`;
}

export function outputHandle(slot: number): string {
  return `o${slot}`;
}

export function parseHandle(id: string): { side: Side; slot: number } {
  return { side: id.startsWith("o") ? "output" : "input", slot: Number(id.slice(1)) };
}

// ---- one node

interface Held {
  readonly definition: NodeDefinition | undefined;
  readonly key: string;
  readonly geometry: NodeGeometry;
}

const held = new WeakMap<NodeRecord, Held>();

/** Box, rows and sockets of a node. The same object for the same records. */
export function nodeGeometry(node: NodeRecord, definition: NodeDefinition | undefined, options: GeometryOptions = {}): NodeGeometry {
  // Only what is frozen stays as it is: a draft, or a node that was just made, may still change.
  if (!Object.isFrozen(node)) return measured(node, definition, options);
  const key = `${options.preview ?? "-"}${options.hideAdvanced ? "a" : ""}`;
  const before = held.get(node);
  if (before !== undefined && before.definition === definition && before.key === key) return before.geometry;
  const geometry = measured(node, definition, options);
  held.set(node, { definition, key, geometry });
  return geometry;
}

function measured(node: NodeRecord, definition: NodeDefinition | undefined, options: GeometryOptions): NodeGeometry {
  if (node.type === "Reroute") return reroute(node);
  if (node.collapsed) return collapsed(node, definition);
  const width = Math.max(node.size?.[0] ?? newWidth(node, definition), LEAST_WIDTH);
  const widgets = widgetRows(node, definition, options);
  const sockets = socketRows(node, definition);
  const wanted = TITLE_HEIGHT + (node.size?.[1] ?? 0);
  const start = TITLE_HEIGHT + BODY_PADDING + sockets.length * SLOT_HEIGHT + (widgets.length > 0 && sockets.length > 0 ? GAP : 0);
  const fixed = start + widgets.reduce((sum, one) => sum + leastHeight(one), 0) + GAP;
  const spare = Math.max(0, wanted - fixed - (options.preview ?? 0));
  const growing = widgets.filter(grows).length;
  const room = (options.preview ?? 0) + (growing === 0 && options.preview !== undefined ? spare : 0);
  const grow = growing === 0 ? 0 : spare / growing;
  const rows: Row[] = [...sockets];
  let y = start;
  for (const widget of widgets) {
    const height = leastHeight(widget) + (grows(widget) ? grow : 0);
    rows.push({ kind: "widget", y, height, name: widget.name, input: slotOf(node, widget.name), definition: widget });
    y += height;
  }
  const height = Math.max(wanted, y + room + GAP);
  return {
    x: node.pos[0],
    y: node.pos[1] - TITLE_HEIGHT,
    width,
    height,
    titleHeight: TITLE_HEIGHT,
    rows,
    preview: options.preview === undefined ? null : { y, height: Math.max(0, height - y - GAP) },
    handles: handles(node, rows, width),
  };
}

function leastHeight(widget: InputDefinition): number {
  return widget.height === undefined ? (widget.multiline ? TEXT_HEIGHT : WIDGET_HEIGHT) : widget.height + ROW_PADDING;
}

/** Texts, and widgets of packs that ask for a height, share what the node is higher than it must be. */
function grows(widget: InputDefinition): boolean {
  return widget.multiline === true || widget.height !== undefined;
}

function slotOf(node: NodeRecord, widget: string): number {
  return node.inputs.findIndex((slot) => slot.widget === widget);
}

/** Inputs that only take links, beside the outputs. Without a definition every input is one. */
function socketRows(node: NodeRecord, definition: NodeDefinition | undefined): SocketRow[] {
  const drawn = new Set(definition === undefined ? [] : widgetsOf(definition).map((one) => one.name));
  const inputs = node.inputs.flatMap((slot, at) => (slot.widget !== undefined && drawn.has(slot.widget) ? [] : [at]));
  return Array.from({ length: Math.max(inputs.length, node.outputs.length) }, (_, at) => ({
    kind: "sockets",
    y: TITLE_HEIGHT + BODY_PADDING + at * SLOT_HEIGHT,
    height: SLOT_HEIGHT,
    input: inputs[at] ?? null,
    output: at < node.outputs.length ? at : null,
  }));
}

function widgetRows(node: NodeRecord, definition: NodeDefinition | undefined, options: GeometryOptions): InputDefinition[] {
  const linked = (name: string): boolean => node.inputs.some((slot) => slot.widget === name && slot.link !== null);
  return (definition?.inputs ?? []).filter(
    (one) => isWidget(one) && !(options.hideAdvanced && one.advanced && !linked(one.name)),
  );
}

function handles(node: NodeRecord, rows: readonly Row[], width: number): HandleGeometry[] {
  const found: HandleGeometry[] = [];
  const drawn = new Set<number>();
  for (const row of rows) {
    const y = row.y + (row.kind === "sockets" ? row.height : WIDGET_HEIGHT) / 2;
    if (row.input !== null && row.input >= 0) {
      found.push(handle("input", row.input, 0, y, row.kind === "widget" && isHidden(node, row.input)));
      drawn.add(row.input);
    }
    if (row.kind === "sockets" && row.output !== null) found.push(handle("output", row.output, width, y, false));
  }
  // Sockets without a row, such as hidden advanced widgets: their links still need somewhere to end.
  node.inputs.forEach((_, slot) => {
    if (!drawn.has(slot)) found.push(handle("input", slot, 0, TITLE_HEIGHT / 2, true));
  });
  return found;
}

function isHidden(node: NodeRecord, slot: number): boolean {
  const input = node.inputs[slot];
  return input?.link === null && !shownInputs(node).includes(input.widget ?? "");
}

/** Names of widgets that a person wants to see as inputs. */
export function shownInputs(node: NodeRecord): string[] {
  const names = node.properties["safelight.inputs"];
  return Array.isArray(names) ? names.filter((one): one is string => typeof one === "string") : [];
}

function handle(side: Side, slot: number, x: number, y: number, hidden: boolean): HandleGeometry {
  return { id: side === "input" ? inputHandle(slot) : outputHandle(slot), side, slot, x, y, hidden };
}

function atHeight(node: NodeRecord, width: number, y: number): HandleGeometry[] {
  return [
    ...node.inputs.map((slot, at) => handle("input", at, 0, y, slot.link === null && slot.widget !== undefined)),
    ...node.outputs.map((_, at) => handle("output", at, width, y, false)),
  ];
}

function collapsed(node: NodeRecord, definition: NodeDefinition | undefined): NodeGeometry {
  const title = node.title ?? definition?.title ?? node.type;
  const width = Math.min(Math.max(title.length * LETTER + 60, LEAST_WIDTH), 320);
  const box = { x: node.pos[0], y: node.pos[1] - TITLE_HEIGHT, width, height: TITLE_HEIGHT, titleHeight: TITLE_HEIGHT };
  return { ...box, rows: [], preview: null, handles: atHeight(node, width, TITLE_HEIGHT / 2) };
}

/** A reroute is nothing but its two sockets, without a title bar. */
function reroute(node: NodeRecord): NodeGeometry {
  const [width, height] = node.size ?? REROUTE;
  const box = { x: node.pos[0], y: node.pos[1], width: Math.max(width, 40), height: Math.max(height, 26), titleHeight: 0 };
  const row: SocketRow = { kind: "sockets", y: 0, height: box.height, input: 0, output: 0 };
  return { ...box, rows: [row], preview: null, handles: atHeight(node, box.width, box.height / 2) };
}

export function nodeBox(node: NodeRecord, definition: NodeDefinition | undefined, options?: GeometryOptions): Box {
  const { x, y, width, height } = nodeGeometry(node, definition, options);
  return { x, y, width, height };
}

// ---- new nodes

/** The body size of a new node, in which its names and texts find room. */
export function newSize(node: Pick<NodeRecord, "type" | "title" | "inputs" | "outputs">, definition: NodeDefinition | undefined): Point {
  if (node.type === "Reroute") return REROUTE;
  const widgets = definition === undefined ? [] : widgetsOf(definition);
  const inputs = node.inputs.filter((slot) => slot.widget === undefined).length;
  const sockets = Math.max(inputs, node.outputs.length);
  const rows = widgets.reduce((sum, one) => sum + (one.multiline && one.height === undefined ? NEW_TEXT_HEIGHT : leastHeight(one)), 0);
  const height = BODY_PADDING + sockets * SLOT_HEIGHT + (widgets.length > 0 && sockets > 0 ? GAP : 0) + rows + GAP;
  const upload = widgets.some((one) => one.upload === "image") || isPictureOutput(definition);
  return [newWidth(node, definition), Math.max(height + (upload ? 200 : 0), SLOT_HEIGHT + 2 * GAP)];
}

function isPictureOutput(definition: NodeDefinition | undefined): boolean {
  return definition !== undefined && definition.outputNode && definition.inputs.some((one) => one.type === "IMAGE");
}

function newWidth(node: Pick<NodeRecord, "type" | "title" | "inputs" | "outputs">, definition: NodeDefinition | undefined): number {
  if (node.type === "Reroute") return REROUTE[0];
  const title = (node.title ?? definition?.title ?? node.type).length * LETTER + 70;
  const widgets = definition === undefined ? [] : widgetsOf(definition);
  const inputs = node.inputs.filter((slot) => slot.widget === undefined);
  const longest = (names: readonly string[]): number => Math.max(0, ...names.map((name) => name.length)) * LETTER;
  const slots = longest(inputs.map((one) => one.label ?? one.name)) + longest(node.outputs.map((one) => one.label ?? one.name)) + 60;
  const fields = widgets.length === 0 ? 0 : longest(widgets.map((one) => one.label ?? one.name)) + 130;
  const texts = widgets.some((one) => one.multiline) ? 360 : 0;
  const width = Math.max(title, slots, fields, texts, widgets.length > 0 ? 240 : 140);
  return Math.min(Math.ceil(width / GRID) * GRID, 420);
}
