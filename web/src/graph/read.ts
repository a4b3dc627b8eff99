/** Reading one graph of a saved workflow: the root, or the inside of a subgraph. Never throws on odd data. */
import type { NodeDefinition } from "./definitions";
import { asPoint, finite, isId, isObject, objects, sameIds, slotNumber, text } from "./json";
import { readInput, readOutput, savedSlots, withDefinedInputs, withDefinedOutputs } from "./slots";
import {
  type Box,
  type GraphId,
  type GraphRecord,
  type GroupRecord,
  INPUT_SIDE,
  type InputSlot,
  type Json,
  type JsonObject,
  type LinkId,
  type LinkRecord,
  type LoadProblem,
  type NodeId,
  type NodeRecord,
  OUTPUT_SIDE,
  type OutputSlot,
  type PublishedSlot,
  type RerouteRecord,
  type SubgraphInfo,
} from "./types";
import { readValues } from "./values";

type DefinitionFor = (node: JsonObject) => NodeDefinition | undefined;

/** What a row or object of `links` says. */
export interface LinkRow {
  readonly fileId: number | string;
  readonly from: NodeId;
  readonly fromSlot: number;
  readonly to: NodeId;
  readonly toSlot: number;
  readonly type: string;
  readonly parent: string | null;
  readonly raw: Json;
}

export function readLink(raw: Json | undefined): LinkRow | null {
  const parts: readonly (Json | undefined)[] = Array.isArray(raw)
    ? (raw as readonly Json[])
    : isObject(raw)
      ? ["id", "origin_id", "origin_slot", "target_id", "target_slot", "type"].map((key) => raw[key])
      : [];
  const [id, from, , to, , type] = parts;
  const [fromSlot, toSlot] = [slotNumber(parts[2]), slotNumber(parts[4])];
  if (!isId(id) || !isId(from) || !isId(to) || fromSlot === undefined || toSlot === undefined) return null;
  const parent = isObject(raw) && isId(raw["parentId"]) ? String(raw["parentId"]) : null;
  const shown = typeof type === "string" && type !== "" ? type : "*";
  return { fileId: id, from: String(from), fromSlot, to: String(to), toSlot, type: shown, parent, raw: raw ?? null };
}

/** Reads one graph: `read()` gives the record, `problems` what was odd. */
export class GraphReader {
  readonly problems: LoadProblem[] = [];
  private readonly nodes: Record<NodeId, NodeRecord> = {};
  private readonly nodeOrder: NodeId[] = [];
  private readonly rows = new Map<LinkId, LinkRow>();
  private readonly linkOrder: string[] = [];
  private readonly strays: Record<string, Json> = {};
  private readonly links: Record<LinkId, LinkRecord> = {};

  constructor(
    private readonly id: GraphId,
    private readonly raw: JsonObject,
    private readonly definitionFor: DefinitionFor,
  ) {}

  read(): GraphRecord {
    this.readNodes();
    this.readRows();
    this.claimInputs();
    this.claimPublishedOutputs();
    this.setStrayLinks();
    this.fillOutputs();
    const reroutes = this.readReroutes();
    for (const node of Object.values(this.nodes)) Object.freeze(node);
    return {
      id: this.id,
      subgraph: this.id === "root" ? null : this.readInfo(),
      nodes: this.nodes,
      nodeOrder: this.nodeOrder,
      links: this.links,
      linkOrder: this.linkOrder,
      groups: readGroups(this.raw["groups"]),
      reroutes: Object.fromEntries(reroutes.map((one) => [one.id, one])),
      rerouteOrder: reroutes.map((one) => one.id),
      strays: this.strays,
      raw: this.raw,
    };
  }

  /** The entries of a list; some writers make an object of it, by the ids. */
  private list(key: string): readonly Json[] {
    const value = this.raw[key];
    if (Array.isArray(value)) return value as readonly Json[];
    return key === "links" && isObject(value) ? Object.values(value) : [];
  }

  private tell(message: string, node?: NodeId): void {
    this.problems.push({ message, graph: this.id, ...(node === undefined ? {} : { node }) });
  }

  private readNodes(): void {
    const doubled: [index: number, raw: JsonObject][] = [];
    this.list("nodes").forEach((entry, index) => {
      const raw = isObject(entry) ? asNamedToday(entry) : entry;
      const readable = isObject(raw) && typeof raw["type"] === "string" && isId(raw["id"]);
      const key = readable ? String(raw["id"]) : `?node ${index}`;
      this.nodeOrder.push(key);
      if (readable && !Object.hasOwn(this.nodes, key)) this.nodes[key] = readNode(raw, this.definitionFor(raw));
      else if (readable) doubled.push([index, raw]);
      else {
        this.strays[key] = raw;
        this.tell("An entry without an id or type cannot be shown. It stays in the file.");
      }
    });
    for (const [index, raw] of doubled) this.nodeOrder[index] = this.readDoubled(raw);
  }

  /** A node whose id another has already: it gets a new one, here and in what is posted and saved. Returns that. */
  private readDoubled(raw: JsonObject): NodeId {
    const state = this.raw["state"];
    const numbers = Object.values(this.nodes).map((node) => Number(node.id)).filter(Number.isSafeInteger);
    const last = finite(isObject(state) ? state["lastNodeId"] : this.raw["last_node_id"]) ?? 0;
    const fileId = numbers.reduce((most, one) => Math.max(most, one), last) + 1;
    const before = String(raw["id"]);
    this.nodes[String(fileId)] = { ...readNode(raw, this.definitionFor(raw)), id: String(fileId), fileId };
    const first = this.nodes[before];
    this.renamed.set(before, [...(this.renamed.get(before) ?? []), String(fileId)]);
    this.tell(`Two nodes have the id ${before}: ${spelled(raw["type"], raw["title"])} is node ${fileId} here; the first with this id is ${spelled(first?.type, first?.title)}.`, String(fileId));
    return String(fileId);
  }

  /** Ids that several nodes had → the new ones of all but the first. */
  private readonly renamed = new Map<NodeId, NodeId[]>();

  /** Of several links with one id the last counts, as in the field. */
  private readRows(): void {
    this.list("links").forEach((raw, index) => {
      const row = readLink(raw);
      const key = row === null ? "" : String(row.fileId);
      const before = this.rows.get(key);
      if (before !== undefined) this.setAside(this.linkOrder.indexOf(key), before.raw);
      this.linkOrder.push(key);
      if (row === null) this.setAside(index, raw);
      else this.rows.set(key, { ...row, from: this.originOf(row) });
    });
  }

  private setAside(index: number, raw: Json): void {
    this.strays[`?link ${index}`] = raw;
    this.linkOrder[index] = `?link ${index}`;
  }

  /** Of several nodes with the id that a link comes from, the one whose output lists the link; the first if none or more do. */
  private originOf(row: LinkRow): NodeId {
    const others = this.renamed.get(row.from);
    if (others === undefined) return row.from;
    const lists = (id: NodeId): boolean => savedIds(this.nodes[id]?.outputs[row.fromSlot]?.raw["links"]).includes(String(row.fileId));
    const found = [row.from, ...others].filter(lists);
    return found.length === 1 ? (found[0] ?? row.from) : row.from;
  }

  /**
   * An input names its link, and the link its origin: the server reads files so, whatever else the link says. Where an input
   * names none that is there, it takes the one that says it leads to it.
   */
  private claimInputs(): void {
    const told = new Set(Object.values(this.nodes).flatMap((node) => node.inputs.map((slot) => String(slot.raw["link"]))));
    const untold = [...this.rows].filter(([id]) => !told.has(id));
    const leading = new Map(untold.map(([id, row]) => [`${row.to}/${row.toSlot}`, id]));
    for (const node of Object.values(this.nodes)) {
      const inputs = node.inputs.map((slot, index): InputSlot => {
        const named = slot.raw["link"] as number | string | null | undefined;
        const known = named !== undefined && named !== null && this.rows.has(String(named));
        const wanted = known ? String(named) : slot.added ? undefined : leading.get(`${node.id}/${index}`);
        const link = wanted === undefined ? null : this.claim(wanted, node.id, index);
        if (link === null && (named === undefined || named === null)) return slot;
        if (link === null) this.tell(`The link ${JSON.stringify(named)} of the input ${slot.name} does not exist.`, node.id);
        return link === null ? { ...slot, dangling: true } : { ...slot, link };
      });
      this.nodes[node.id] = { ...node, inputs };
    }
  }

  private claim(id: LinkId, to: NodeId, toSlot: number): LinkId | null {
    const row = this.rows.get(id);
    if (row === undefined || Object.hasOwn(this.links, id) || !this.hasOrigin(row)) return null;
    const repaired = row.to !== to || row.toSlot !== toSlot;
    this.links[id] = {
      id,
      fileId: row.fileId,
      from: row.from,
      fromSlot: row.fromSlot,
      to,
      toSlot,
      type: row.type,
      parent: row.parent ?? this.extensions.get(id) ?? null,
      ...(repaired ? { repaired: [row.from, row.fromSlot, to, toSlot] as const } : {}),
      raw: row.raw,
    };
    return id;
  }

  private hasOrigin(row: LinkRow): boolean {
    return Object.hasOwn(this.nodes, row.from) || (this.id !== "root" && row.from === INPUT_SIDE);
  }

  private claimPublishedOutputs(): void {
    const fed = new Set<number>();
    for (const [id, row] of this.rows) {
      if (this.id === "root" || row.to !== OUTPUT_SIDE || fed.has(row.toSlot)) continue;
      if (this.claim(id, OUTPUT_SIDE, row.toSlot) !== null) fed.add(row.toSlot);
    }
  }

  private setStrayLinks(): void {
    let count = 0;
    this.linkOrder.forEach((key, index) => {
      const row = this.rows.get(key);
      if (row === undefined || Object.hasOwn(this.links, key)) return;
      this.strays[`?link ${index}`] = row.raw;
      this.linkOrder[index] = `?link ${index}`;
      count += 1;
    });
    if (count > 0) this.tell(`${count} ${count === 1 ? "link leads" : "links lead"} nowhere. They stay in the file.`);
  }

  /** Tell the outputs their links, in the order of the file. */
  private fillOutputs(): void {
    const leaving = new Map<NodeId, Map<number, LinkId[]>>();
    for (const id of this.linkOrder) {
      const link = this.links[id];
      if (link === undefined) continue;
      const slots = leaving.get(link.from) ?? new Map<number, LinkId[]>();
      slots.set(link.fromSlot, [...(slots.get(link.fromSlot) ?? []), id]);
      leaving.set(link.from, slots);
    }
    for (const [id, slots] of leaving) {
      const node = this.nodes[id];
      if (node !== undefined) this.nodes[id] = { ...node, outputs: this.outputsWith(node, slots) };
    }
    for (const node of Object.values(this.nodes)) {
      if (!leaving.has(node.id)) this.nodes[node.id] = { ...node, outputs: this.outputsWith(node, new Map()) };
    }
  }

  private outputsWith(node: NodeRecord, slots: ReadonlyMap<number, readonly LinkId[]>): OutputSlot[] {
    const outputs: OutputSlot[] = [...node.outputs];
    for (const [slot, ids] of slots) {
      const type = this.links[ids[0] ?? ""]?.type ?? "*";
      while (outputs.length <= slot) outputs.push({ name: type, type, links: [], added: true, raw: {} });
    }
    return outputs.map((output, slot) => {
      const saved = savedIds(output.raw["links"]);
      const links = inOrderOf(saved, slots.get(slot) ?? []);
      return { ...output, links, ...(sameIds(links, saved) ? {} : { read: links }) };
    });
  }

  private readonly extensions = new Map<LinkId, string>();

  private readReroutes(): RerouteRecord[] {
    const extra = this.raw["extra"];
    const held = this.raw["reroutes"] ?? (isObject(extra) ? extra["reroutes"] : undefined);
    for (const one of objects(isObject(extra) ? extra["linkExtensions"] : undefined)) {
      if (isId(one["id"]) && isId(one["parentId"])) this.extensions.set(String(one["id"]), String(one["parentId"]));
    }
    const found = new Map<string, RerouteRecord>();
    for (const raw of objects(held)) {
      const pos = asPoint(raw["pos"]);
      if (!isId(raw["id"]) || pos === null || found.has(String(raw["id"]))) continue;
      const parent = isId(raw["parentId"]) ? String(raw["parentId"]) : null;
      found.set(String(raw["id"]), { id: String(raw["id"]), fileId: raw["id"], pos, parent, read: [], raw });
    }
    this.hangLinks(found);
    return [...found.values()];
  }

  /** Give each link its reroute and each reroute its links; a chain that ends nowhere or runs in a ring is cut. */
  private hangLinks(reroutes: Map<string, RerouteRecord>): void {
    for (const one of reroutes.values()) {
      if (one.parent !== null && (!reroutes.has(one.parent) || ringed(one.id, reroutes))) {
        reroutes.set(one.id, { ...one, parent: null });
      }
    }
    for (const link of Object.values(this.links)) {
      const parent = link.parent ?? this.extensions.get(link.id) ?? null;
      const known = parent !== null && reroutes.has(parent) ? parent : null;
      if (known !== link.parent) this.links[link.id] = { ...link, parent: known };
      for (let at: string | null = known; at !== null; ) {
        const reroute: RerouteRecord | undefined = reroutes.get(at);
        if (reroute === undefined) break;
        reroutes.set(at, { ...reroute, read: [...(reroute.read ?? []), link.id] });
        at = reroute.parent;
      }
    }
  }

  private readInfo(): SubgraphInfo {
    const linked = (side: NodeId, slot: number): LinkId[] =>
      this.linkOrder.filter((id) => {
        const link = this.links[id];
        if (link === undefined) return false;
        return side === INPUT_SIDE ? link.from === side && link.fromSlot === slot : link.to === side && link.toSlot === slot;
      });
    const slots = (key: string, side: NodeId): PublishedSlot[] =>
      objects(this.raw[key]).map((raw, slot) => {
        const saved = savedIds(raw["linkIds"]);
        const links = inOrderOf(saved, linked(side, slot));
        const label = text(raw["label"]);
        return {
          id: text(raw["id"]) ?? `${key} ${slot}`,
          name: text(raw["name"]) ?? "",
          type: typeof raw["type"] === "string" ? raw["type"] : "*",
          ...(label ? { label } : {}),
          links,
          ...(sameIds(links, saved) ? {} : { read: links }),
          raw,
        };
      });
    return {
      name: text(this.raw["name"]) ?? "Subgraph",
      inputs: slots("inputs", INPUT_SIDE),
      outputs: slots("outputs", OUTPUT_SIDE),
      inputBox: sideBox(this.raw["inputNode"], -400),
      outputBox: sideBox(this.raw["outputNode"], 800),
    };
  }
}

function spelled(type: Json | undefined, title: Json | null | undefined): string {
  return typeof title === "string" && title !== "" ? `${String(type)} “${title}”` : String(type);
}

function ringed(start: string, reroutes: ReadonlyMap<string, RerouteRecord>): boolean {
  const seen = new Set<string>();
  for (let at: string | null = start; at !== null; at = reroutes.get(at)?.parent ?? null) {
    if (seen.has(at)) return true;
    seen.add(at);
  }
  return false;
}

function sideBox(raw: Json | undefined, x: number): Box {
  const bounding = isObject(raw) ? raw["bounding"] : undefined;
  return readBox(bounding) ?? { x, y: 0, width: 120, height: 60 };
}

function readBox(raw: Json | undefined): Box | null {
  const values = Array.isArray(raw) ? (raw as readonly Json[]) : isObject(raw) ? Object.values(raw) : [];
  const [x, y, width, height] = values.map(finite);
  if (x === undefined || y === undefined || width === undefined || height === undefined) return null;
  return { x, y, width, height };
}

function savedIds(raw: Json | undefined): string[] {
  return Array.isArray(raw) ? (raw as readonly Json[]).map(String) : [];
}

/** `ids` in the order of `order`, those that do not stand in it last. */
function inOrderOf(order: readonly string[], ids: readonly string[]): string[] {
  const present = new Set(ids);
  const first = [...new Set(order)].filter((id) => present.has(id));
  return [...first, ...ids.filter((id) => !order.includes(id))];
}

const FORMAT_INPUTS: Readonly<Record<string, string>> = { template: "f_string", a: "values.a", b: "values.b", c: "values.c", d: "values.d" };

/**
 * Earlier versions of Safelight called a loader by a name that the field has for another node, one with a config, and the
 * inputs of StringFormat otherwise. No node of the field is taken for the loader: that has a second value.
 */
function asNamedToday(raw: JsonObject): JsonObject {
  const slots = objects(raw["inputs"]);
  if (raw["type"] === "StringFormat" && slots.some((slot) => slot["name"] === "template")) {
    return { ...raw, inputs: slots.map(formatInputToday) };
  }
  const values = raw["widgets_values"];
  const plain = raw["type"] === "CheckpointLoader" && !objects(raw["inputs"]).some((slot) => slot["name"] === "config_name") && !(Array.isArray(values) && values.length > 1);
  return plain ? { ...raw, type: "CheckpointLoaderSimple" } : raw;
}

function formatInputToday(slot: JsonObject): JsonObject {
  const name = FORMAT_INPUTS[String(slot["name"])];
  if (name === undefined) return slot;
  return slot["widget"] === undefined ? { ...slot, name } : { ...slot, name, widget: { name } };
}

/** One saved node, without its links. */
export function readNode(raw: JsonObject, definition: NodeDefinition | undefined): NodeRecord {
  const flags = isObject(raw["flags"]) ? raw["flags"] : {};
  const { values, controls, form } = readValues(raw, definition);
  const inputs = savedSlots(raw, "inputs").map((slot) => readInput(slot, definition));
  return {
    id: String(raw["id"]),
    fileId: raw["id"] as number | string,
    type: raw["type"] as string,
    pos: asPoint(raw["pos"]) ?? [0, 0],
    size: asPoint(raw["size"]),
    mode: finite(raw["mode"]) ?? 0,
    collapsed: flags["collapsed"] === true,
    pinned: flags["pinned"] === true,
    title: text(raw["title"]) ?? null,
    color: text(raw["color"]) ?? null,
    bgcolor: text(raw["bgcolor"]) ?? null,
    inputs: withDefinedInputs(inputs, definition),
    outputs: withDefinedOutputs(savedSlots(raw, "outputs").map(readOutput), definition),
    values,
    controls,
    valueForm: form,
    properties: isObject(raw["properties"]) ? raw["properties"] : {},
    raw,
  };
}

function readGroups(raw: Json | undefined): GroupRecord[] {
  return objects(raw).flatMap((one, index) => {
    const box = readBox(one["bounding"]) ?? { x: 0, y: 0, width: 200, height: 100 };
    const flags = isObject(one["flags"]) ? one["flags"] : {};
    return [
      {
        id: `g${index + 1}`,
        title: text(one["title"]) ?? "",
        box,
        color: text(one["color"]) ?? null,
        fontSize: finite(one["font_size"]) ?? null,
        pinned: flags["pinned"] === true,
        raw: one,
      },
    ];
  });
}
