/** What is different after the packs were read anew, in sentences. */
import type { Definitions } from "@/graph/definitions";
import { same } from "@/graph/json";
import type { PackReport } from "./report";

export interface Look {
  readonly packs: readonly PackReport[];
  readonly definitions: Definitions;
}

const MOST_NAMES = 8;

export function describeChanges(before: Look, after: Look): string[] {
  const found = [...packChanges(before.packs, after.packs), ...nodeChanges(before, after)];
  return found.length > 0 ? found : ["The packs were read anew. No pack and no node looks different."];
}

function packChanges(before: readonly PackReport[], after: readonly PackReport[]): string[] {
  const old = new Map(before.map((pack) => [pack.name, pack]));
  const now = new Set(after.map((pack) => pack.name));
  return [
    ...after.flatMap((pack) => sentenceOf(old.get(pack.name), pack) ?? []),
    ...before.filter((pack) => !now.has(pack.name)).map((pack) => `“${pack.name}” is gone.`),
  ];
}

function sentenceOf(before: PackReport | undefined, now: PackReport): string | null {
  if (before === undefined) return `“${now.name}” is new${now.state === "loaded" ? "" : `, and ${STATES[now.state]}`}.`;
  if (before.state !== now.state) return `“${now.name}” ${now.state === "loaded" ? "loads now" : STATES[now.state]}.`;
  if (before.errors.join("\n") === now.errors.join("\n")) return null;
  if (now.errors.length === 0) return `“${now.name}” has no errors any more.`;
  return before.errors.length === 0 ? `“${now.name}” has errors now.` : `“${now.name}” has other errors now.`;
}

const STATES = { loaded: "loads", failed: "fails to load", disabled: "is switched off" } as const;

function nodeChanges(before: Look, after: Look): string[] {
  const [old, now] = [nodesOf(before), nodesOf(after)];
  const added = [...now].filter((type) => !old.has(type));
  const removed = [...old].filter((type) => !now.has(type));
  const changed = [...now].filter((type) => old.has(type) && !same(before.definitions.get(type)?.raw, after.definitions.get(type)?.raw));
  return [
    ...counted(added, "node is new", "nodes are new"),
    ...counted(removed, "node is gone", "nodes are gone"),
    ...counted(changed, "node is declared otherwise", "nodes are declared otherwise"),
  ];
}

function nodesOf({ packs }: Look): Set<string> {
  return new Set(packs.flatMap((pack) => pack.nodes));
}

function counted(types: readonly string[], one: string, several: string): string[] {
  if (types.length === 0) return [];
  const names = types.slice(0, MOST_NAMES).join(", ") + (types.length > MOST_NAMES ? ` and ${types.length - MOST_NAMES} more` : "");
  return [`${types.length} ${types.length === 1 ? one : several}: ${names}.`];
}
