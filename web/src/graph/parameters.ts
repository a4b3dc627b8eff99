/**
 * What a workflow exposes: the inputs a person sets without the graph, and the nodes whose results count. They stand in
 * `extra.safelight` of the file, where the server reads them too (engine/graph/parameters.py). Nodes go by the id that they
 * have in the form that runs: `instance:inner` inside a subgraph.
 */
import type { DocumentDraft } from "./drafts";
import { isId, isObject, objects, text } from "./json";
import { resolvePath } from "./scope";
import type { Document, Json, JsonObject, NodeId } from "./types";

export { nodeAt, promptId } from "./scope";

export interface ParameterMark {
  readonly name: string;
  readonly node: string;
  readonly input: string;
  readonly label?: string;
}

export interface OutputMark {
  readonly name: string;
  readonly node: string;
}

export function listParameters(document: Document): ParameterMark[] {
  return marks(document.extra, "parameters").flatMap((one) => {
    const [name, input, label] = [text(one["name"]), text(one["input"]), text(one["label"])];
    if (name === undefined || input === undefined || !isId(one["node"])) return [];
    return [{ name, node: String(one["node"]), input, ...(label === undefined ? {} : { label }) }];
  });
}

export function listOutputs(document: Document): OutputMark[] {
  return marks(document.extra, "outputs").flatMap((one) => {
    const name = text(one["name"]);
    return name === undefined || !isId(one["node"]) ? [] : [{ name, node: String(one["node"]) }];
  });
}

function marks(extra: JsonObject, key: "parameters" | "outputs"): JsonObject[] {
  const own = extra["safelight"];
  return objects(isObject(own) ? own[key] : undefined);
}

function setMarks(draft: DocumentDraft, key: "parameters" | "outputs", list: readonly JsonObject[]): void {
  const extra = draft.extra as Record<string, Json>;
  const own = isObject(extra["safelight"]) ? extra["safelight"] : {};
  const { [key]: _, ...rest } = own;
  const next: JsonObject = list.length === 0 ? rest : { ...own, [key]: list };
  if (Object.keys(next).length === 0) delete extra["safelight"];
  else extra["safelight"] = next;
}

function change(draft: DocumentDraft, key: "parameters" | "outputs", how: (list: JsonObject[]) => JsonObject[]): void {
  setMarks(draft, key, how(marks(draft.extra as JsonObject, key)));
}

/** Expose an input. The name is made unique; a place that has a name already keeps it. Returns the name. */
export function addParameter(draft: DocumentDraft, mark: ParameterMark): string {
  const known = listParameters(draft as Document);
  const held = known.find((one) => one.node === mark.node && one.input === mark.input);
  if (held !== undefined) return held.name;
  const name = freeName(mark.name, known.map((one) => one.name));
  const entry: JsonObject = { name, node: mark.node, input: mark.input, ...(mark.label ? { label: mark.label } : {}) };
  change(draft, "parameters", (list) => [...list, entry]);
  return name;
}

export function removeParameter(draft: DocumentDraft, name: string): void {
  change(draft, "parameters", (list) => list.filter((one) => one["name"] !== name));
}

/** Says whether it could be renamed: a name is given once. */
export function renameParameter(draft: DocumentDraft, name: string, to: string): boolean {
  if (to.trim() === "" || listParameters(draft as Document).some((one) => one.name === to)) return name === to;
  change(draft, "parameters", (list) => list.map((one) => (one["name"] === name ? { ...one, name: to } : one)));
  return true;
}

export function moveParameter(draft: DocumentDraft, name: string, to: number): void {
  change(draft, "parameters", (list) => {
    const moved = list.filter((one) => one["name"] === name);
    const others = list.filter((one) => one["name"] !== name);
    return [...others.slice(0, to), ...moved, ...others.slice(to)];
  });
}

export function addOutput(draft: DocumentDraft, mark: OutputMark): string {
  const known = listOutputs(draft as Document);
  const held = known.find((one) => one.node === mark.node);
  if (held !== undefined) return held.name;
  const name = freeName(mark.name, known.map((one) => one.name));
  change(draft, "outputs", (list) => [...list, { name, node: mark.node }]);
  return name;
}

export function removeOutput(draft: DocumentDraft, name: string): void {
  change(draft, "outputs", (list) => list.filter((one) => one["name"] !== name));
}

function freeName(name: string, taken: readonly string[]): string {
  let next = name;
  for (let count = 2; taken.includes(next); count += 1) next = `${name}_${count}`;
  return next;
}

/** Rewrite the places of all marks when nodes move in or out of a subgraph. `where` gets and gives a path of ids. */
export function remapParameters(draft: DocumentDraft, where: (path: readonly NodeId[]) => readonly NodeId[]): void {
  const document = draft as Document;
  const remapped = (one: JsonObject): JsonObject => {
    if (!isId(one["node"])) return one;
    const before = String(one["node"]);
    const path = pathOf(document, before);
    const after = where(path).join(":");
    return after === before ? one : { ...one, node: after };
  };
  for (const key of ["parameters", "outputs"] as const) {
    if (marks(draft.extra as JsonObject, key).length > 0) change(draft, key, (list) => list.map(remapped));
  }
}

function pathOf(document: Document, id: string): NodeId[] {
  if (document.graphs["root"]?.nodes[id] !== undefined) return [id];
  const parts = id.split(":");
  return resolvePath(document, parts.slice(0, -1)) === null ? [id] : parts;
}
