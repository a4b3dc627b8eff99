/** Definitions and small workflows for tests. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Definitions, parseDefinitions } from "../definitions";
import { type DocumentDraft } from "../drafts";
import { addNode, connect } from "../edits";
import { emptyDocument, loadWorkflow } from "../load";
import { createDocumentStore, type DocumentStore } from "../store";
import { type Document, type GraphRecord, type NodeId, type NodeRecord, ROOT } from "../types";

/** A part of what our server answers to /object_info. */
export const objectInfo = JSON.parse(readFileSync(join(import.meta.dirname, "object_info.json"), "utf8")) as Record<string, unknown>;
export const definitions: Definitions = parseDefinitions(objectInfo).definitions;

export function ourWorkflow(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../../../../workflows", `${name}.json`), "utf8")) as Record<string, unknown>;
}

export function textToImage(): Document {
  return loadWorkflow(ourWorkflow("text_to_image"), definitions).document;
}

export function storeWith(document: Document = emptyDocument()): DocumentStore {
  return createDocumentStore({ document, definitions });
}

/** A chain: loader → two texts → sampler → decode → save. Returns the ids by role. */
export function buildTextToImage(draft: DocumentDraft): Record<"loader" | "positive" | "negative" | "latent" | "sampler" | "decode" | "save", NodeId> {
  const add = (type: string, x: number, y: number): NodeId => addNode(draft, ROOT, definitions, type, [x, y]);
  const ids = {
    loader: add("CheckpointLoaderSimple", 0, 0),
    positive: add("CLIPTextEncode", 400, 0),
    negative: add("CLIPTextEncode", 400, 300),
    latent: add("EmptyLatentImage", 400, 600),
    sampler: add("KSampler", 900, 0),
    decode: add("VAEDecode", 1300, 0),
    save: add("SaveImage", 1600, 0),
  };
  const link = (from: NodeId, fromSlot: number, to: NodeId, name: string): void => {
    const toSlot = draft.graphs[ROOT]?.nodes[to]?.inputs.findIndex((slot) => slot.name === name) ?? -1;
    if (connect(draft, ROOT, definitions, { from, fromSlot, to, toSlot }) === null) throw new Error(`${from} → ${to}.${name}`);
  };
  link(ids.loader, 1, ids.positive, "clip");
  link(ids.loader, 1, ids.negative, "clip");
  link(ids.loader, 0, ids.sampler, "model");
  link(ids.positive, 0, ids.sampler, "positive");
  link(ids.negative, 0, ids.sampler, "negative");
  link(ids.latent, 0, ids.sampler, "latent_image");
  link(ids.sampler, 0, ids.decode, "samples");
  link(ids.loader, 2, ids.decode, "vae");
  link(ids.decode, 0, ids.save, "images");
  return ids;
}

export function nodeIn(document: Document, id: NodeId, graph = ROOT): NodeRecord {
  const node = document.graphs[graph]?.nodes[id];
  if (node === undefined) throw new Error(`There is no node ${id}.`);
  return node;
}

export function graphIn(document: Document, id = ROOT): GraphRecord {
  const graph = document.graphs[id];
  if (graph === undefined) throw new Error(`There is no graph ${id}.`);
  return graph;
}

export function slotOf(node: NodeRecord, name: string): number {
  return node.inputs.findIndex((slot) => slot.name === name);
}
