/**
 * What a workflow exposes: the inputs a person sets without the graph, and the nodes whose results count. They stand in
 * `extra.safelight` of the file, where the server reads them too (engine/graph/declared.py). Nodes go by the id that they
 * have in the form that runs: `instance:inner` inside a subgraph. How they are found again in a file that another editor has
 * numbered anew: `parameterPlaces.ts`.
 */
import type { DocumentDraft } from "./drafts";
import { finite, isId, isObject, objects, text } from "./json";
import { resolvePath } from "./scope";
import type { Document, Json, JsonObject, NodeId } from "./types";

export { nodeAt, promptId } from "./scope";

/** What may be said of a parameter beside its place. A key that is not there: as the node declares it. */
export interface ParameterFacts {
  readonly label?: string;
  readonly doc?: string;
  readonly default?: Json;
  readonly min?: number;
  readonly max?: number;
  readonly step?: number;
  readonly choices?: readonly (string | number | boolean)[];
  /** Whoever runs the workflow says it: it has no default. */
  readonly required?: boolean;
}

export interface ParameterMark extends ParameterFacts {
  readonly name: string;
  readonly node: string;
  readonly input: string;
}

export interface OutputMark {
  readonly name: string;
  readonly node: string;
  readonly doc?: string;
}

export function listParameters(document: Pick<Document, "extra">): ParameterMark[] {
  return marks(document.extra, "parameters").flatMap((one) => {
    const [name, input] = [text(one["name"]), text(one["input"])];
    if (name === undefined || input === undefined || !isId(one["node"])) return [];
    return [{ name, node: String(one["node"]), input, ...factsOf(one) }];
  });
}

export function listOutputs(document: Pick<Document, "extra">): OutputMark[] {
  return marks(document.extra, "outputs").flatMap((one) => {
    const [name, doc] = [text(one["name"]), text(one["doc"])];
    return name === undefined || !isId(one["node"]) ? [] : [{ name, node: String(one["node"]), ...(doc === undefined ? {} : { doc }) }];
  });
}

/** What is of the wrong type is not there, as for the server. */
function factsOf(one: JsonObject): ParameterFacts {
  const found: Record<string, unknown> = {};
  for (const key of ["label", "doc"]) if (text(one[key]) !== undefined) found[key] = one[key];
  for (const key of ["min", "max", "step"]) if (finite(one[key]) !== undefined) found[key] = one[key];
  if (one["default"] !== undefined) found["default"] = one["default"];
  const choices = one["choices"];
  if (Array.isArray(choices) && choices.length > 0 && choices.every((choice) => ["string", "number", "boolean"].includes(typeof choice))) found["choices"] = choices;
  if (one["required"] === true) found["required"] = true;
  return found as ParameterFacts;
}

/** A sentence or two about the workflow, for those who call it. */
export function workflowDoc(document: Pick<Document, "extra">): string {
  const own = document.extra["safelight"];
  return (isObject(own) ? text(own["doc"]) : undefined) ?? "";
}

export function setWorkflowDoc(draft: DocumentDraft, doc: string): void {
  setOwn(draft, "doc", doc.trim() === "" ? undefined : doc);
}

/** The name that programs can write for a text: letters, digits and `_`, no digit first. */
export function usableName(written: string): string {
  const letters = written.normalize("NFKD").replace(/\p{M}/gu, "");
  const name = letters.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  return name === "" ? "value" : /^\d/.test(name) ? `_${name}` : name;
}

export function isUsableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

function marks(extra: JsonObject, key: "parameters" | "outputs"): JsonObject[] {
  const own = extra["safelight"];
  return objects(isObject(own) ? own[key] : undefined);
}

function setOwn(draft: DocumentDraft, key: string, value: Json | undefined): void {
  const extra = draft.extra as Record<string, Json>;
  const own = isObject(extra["safelight"]) ? extra["safelight"] : {};
  const { [key]: _, ...rest } = own;
  const next: JsonObject = value === undefined ? rest : { ...own, [key]: value };
  if (Object.keys(next).length === 0) delete extra["safelight"];
  else extra["safelight"] = next;
}

function change(draft: DocumentDraft, key: "parameters" | "outputs", how: (list: JsonObject[]) => JsonObject[]): void {
  const list = how(marks(draft.extra as JsonObject, key));
  setOwn(draft, key, list.length === 0 ? undefined : list);
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

/** Say more of a parameter, or (undefined) take it back. */
export function changeParameter(draft: DocumentDraft, name: string, facts: { readonly [key in keyof ParameterFacts]: ParameterFacts[key] | undefined }): void {
  change(draft, "parameters", (list) => list.map((one) => (one["name"] === name ? withFacts(one, facts) : one)));
}

function withFacts(one: JsonObject, facts: object): JsonObject {
  const next: Record<string, Json> = { ...one };
  for (const [key, value] of Object.entries(facts) as [string, Json | undefined][]) {
    if (value === undefined || value === "" || value === false) delete next[key];
    else next[key] = value;
  }
  if (facts !== null && "default" in facts && facts.default !== undefined) next["default"] = facts.default as Json; // false and "" are values
  return next;
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

/** Says whether it could be renamed: a name is given once. */
export function renameOutput(draft: DocumentDraft, name: string, to: string): boolean {
  if (to.trim() === "" || listOutputs(draft as Document).some((one) => one.name === to)) return name === to;
  change(draft, "outputs", (list) => list.map((one) => (one["name"] === name ? { ...one, name: to } : one)));
  return true;
}

export function describeOutput(draft: DocumentDraft, name: string, doc: string): void {
  change(draft, "outputs", (list) => list.map((one) => (one["name"] === name ? withFacts(one, { doc: doc.trim() === "" ? undefined : doc }) : one)));
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
