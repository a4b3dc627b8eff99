/** Fuzzy search over node definitions: by name, display name, category, other names and initials. */
import uFuzzy from "@leeoniya/ufuzzy";
import type { Definitions, NodeDefinition } from "@/graph/definitions";

export interface FoundNode {
  definition: NodeDefinition;
  /** Parts of the title to mark, as pairs of start and end. */
  marks: readonly number[];
}

interface Entry {
  definition: NodeDefinition;
  title: string;
  words: string;
}

export interface NodeIndex {
  entries: readonly Entry[];
  haystack: string[];
}

export interface SearchOptions {
  uses?: Readonly<Record<string, number>>;
  deprecated?: boolean;
  experimental?: boolean;
  /** Only these types. */
  only?: { has: (type: string) => boolean } | null;
  /** The order to show them in while nothing is typed; without it by title. */
  order?: ReadonlyMap<string, number> | null;
  limit?: number;
}

/** What most graphs begin with: shown first to people who have not used any node yet. */
const COMMON = new Map(
  ["CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "EmptyLatentImage", "VAEDecode", "SaveImage", "PreviewImage", "LoadImage", "VAEEncode", "LoraLoader", "ControlNetLoader", "ControlNetApplyAdvanced", "ImageScale", "LatentUpscale", "Note"].map((type, place) => [type, place]),
);

const fuzzy = new uFuzzy({ intraMode: 1, intraIns: 1, interIns: 40 });

/** "KSampler (Advanced)" → "ksa", "CLIP Text Encode" → "cte". */
export function initials(title: string): string {
  return (title.match(/[A-Z]+(?![a-z])|[A-Z]|\b[a-z]/g) ?? []).map((part) => part.charAt(0)).join("").toLowerCase();
}

function aliases(definition: NodeDefinition): string {
  const found = definition.raw["search_aliases"];
  return Array.isArray(found) ? found.filter((item) => typeof item === "string").join(" ") : "";
}

export function buildIndex(definitions: Definitions): NodeIndex {
  const listed = [...definitions.values()].filter((definition) => !definition.alias);
  const entries = listed.map((definition): Entry => {
    const spaced = definition.type.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/_/g, " ");
    const words = [definition.type, spaced, definition.category.replaceAll("/", " "), aliases(definition), initials(definition.title)].join(" ");
    return { definition, title: definition.title, words };
  });
  return { entries, haystack: entries.map(({ title, words }) => `${title} ${words}`) };
}

/** Higher is better: what a title begins with counts most, then its words, then how often a node was used. */
function score(entry: Entry, query: string, rank: number, uses: number): number {
  const title = entry.title.toLowerCase();
  const type = entry.definition.type.toLowerCase();
  let points = -rank * 0.5 + Math.min(Math.log2(1 + uses) * 3, 12);
  if (title === query || type === query) points += 100;
  else if (title.startsWith(query)) points += 60;
  else if (type.startsWith(query) || initials(entry.title) === query) points += 45;
  else if (title.split(/[^a-z0-9]+/).some((word) => word.startsWith(query))) points += 35;
  else if (title.includes(query)) points += 25;
  else if (type.includes(query)) points += 15;
  // What most graphs are made of comes before its rarer relatives.
  if (COMMON.has(entry.definition.type)) points += 40;
  points -= title.length * 0.05;
  if (entry.definition.deprecated) points -= 40;
  if (entry.definition.experimental) points -= 3;
  return points;
}

function marksIn(title: string, query: string): number[] {
  const at = title.toLowerCase().indexOf(query);
  return query !== "" && at >= 0 ? [at, at + query.length] : [];
}

function allowed(entry: Entry, options: SearchOptions): boolean {
  const { definition } = entry;
  if (options.only && !options.only.has(definition.type)) return false;
  if (definition.deprecated && !options.deprecated) return false;
  return !definition.experimental || options.experimental !== false;
}

/** Nodes that match, best first; with no text the most used first. */
export function searchNodes(index: NodeIndex, text: string, options: SearchOptions = {}): FoundNode[] {
  const query = text.trim().toLowerCase();
  const uses = options.uses ?? {};
  const limit = options.limit ?? 80;
  if (query === "") {
    const usable = index.entries.filter((entry) => allowed(entry, options));
    const place = (entry: Entry) => options.order?.get(entry.definition.type) ?? COMMON.get(entry.definition.type) ?? COMMON.size;
    const byUse = (entry: Entry) => uses[entry.definition.type] ?? 0;
    return usable
      .sort((a, b) => byUse(b) - byUse(a) || place(a) - place(b) || a.title.localeCompare(b.title))
      .slice(0, limit)
      .map(({ definition }) => ({ definition, marks: [] }));
  }
  return matching(index, query)
    .map((at, rank) => ({ entry: index.entries[at], rank }))
    .flatMap(({ entry, rank }) => (entry && allowed(entry, options) ? [{ entry, points: score(entry, query, rank, uses[entry.definition.type] ?? 0) }] : []))
    .sort((a, b) => b.points - a.points)
    .slice(0, limit)
    .map(({ entry }) => ({ definition: entry.definition, marks: marksIn(entry.title, query) }));
}

function matching(index: NodeIndex, query: string): number[] {
  const [found, info, order] = fuzzy.search(index.haystack, query, 1);
  if (!found) return [];
  return info && order ? order.flatMap((at) => info.idx[at] ?? []) : [...found];
}
