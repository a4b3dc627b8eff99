/** Which sockets fit together, by the rules of the server (`types_match` there), and why others do not. */
import type { Definitions, NodeDefinition } from "./definitions";

export const ANY = "*";

/** Whether an output of type `from` may feed an input of type `to`. Each may be a union: "IMAGE,MASK". */
export function typesMatch(from: string, to: string): boolean {
  if (from === to || from === ANY || to === ANY) return true;
  const [have, want] = [parts(from), parts(to)];
  if (have.has(ANY) || want.has(ANY)) return true;
  return [...have].some((one) => want.has(one));
}

/** Whether a bypassed node passes an input of one type on where the other is asked for: they share a type, or one is any. */
export function sameType(a: string, b: string): boolean {
  const [left, right] = [parts(a.toLowerCase()), parts(b.toLowerCase())];
  return [ANY, ""].some((any) => left.has(any) || right.has(any)) || [...left].some((one) => right.has(one));
}

function parts(type: string): Set<string> {
  return new Set(type.split(",").map((one) => one.trim()));
}

/** Why an output of type `from` cannot feed an input of type `to`; null if it can. What could go between: `bridges.ts`. */
export function whyNot(from: string, to: string): string | null {
  return typesMatch(from, to) ? null : `${spell(from)} cannot feed an input of type ${spell(to)}.`;
}

function spell(type: string): string {
  return type.split(",").join(" or ");
}

/** What most people put next to a socket of a common type, best first. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  "output MODEL": ["KSampler", "LoRALoader", "LoraLoader"],
  "output CLIP": ["TextEncode", "CLIPTextEncode", "CLIPSetLastLayer", "LoRALoader", "LoraLoader"],
  "output VAE": ["VAEDecode", "VAEEncode"],
  "output CONDITIONING": ["KSampler", "ConditioningCombine"],
  "output LATENT": ["VAEDecode", "KSampler", "LatentUpscale"],
  "output IMAGE": ["SaveImage", "PreviewImage", "VAEEncode", "ImageScale"],
  "output MASK": ["SetLatentNoiseMask", "MaskToImage"],
  "input MODEL": ["CheckpointLoaderSimple", "LoRALoader", "LoraLoader"],
  "input CLIP": ["CheckpointLoaderSimple", "LoRALoader", "LoraLoader"],
  "input VAE": ["CheckpointLoaderSimple", "VAELoader"],
  "input CONDITIONING": ["TextEncode", "CLIPTextEncode", "ConditioningCombine"],
  "input LATENT": ["EmptyLatent", "EmptyLatentImage", "VAEEncode", "KSampler"],
  "input IMAGE": ["LoadImage", "VAEDecode"],
  "input MASK": ["LoadImage", "LoadImageMask"],
};

export interface Suggestion {
  readonly definition: NodeDefinition;
  /** Position among `definition.inputs` or `definition.outputs`. */
  readonly slot: number;
  /** Whether the type is the very same, not `*` or a conversion. */
  readonly exact: boolean;
}

/**
 * The nodes that a link dragged to an empty place could go on to, exact types first.
 * `side` is the side of the socket that the link was dragged from.
 */
export function nodesFor(
  definitions: Definitions,
  from: { readonly type: string; readonly side: "input" | "output" },
): Suggestion[] {
  const found: Suggestion[] = [];
  const wanted = from.type.split(",");
  const usual = USUAL[`${from.side} ${from.type}`] ?? [];
  for (const definition of definitions.values()) {
    if (definition.alias) continue;
    const slots = from.side === "output" ? definition.inputs : definition.outputs;
    const fits = (type: string): boolean =>
      from.side === "output" ? typesMatch(from.type, type) : typesMatch(type, from.type);
    const exact = slots.findIndex((slot) => slot.type.split(",").some((one) => wanted.includes(one)));
    const slot = exact >= 0 ? exact : slots.findIndex((one) => fits(one.type));
    if (slot >= 0) found.push({ definition, slot, exact: exact >= 0 && from.type !== ANY });
  }
  const rank = (one: Suggestion): number => {
    const at = usual.indexOf(one.definition.type);
    return at >= 0 ? at : 10 + (one.exact ? 0 : 4) + (one.definition.deprecated ? 2 : 0) + (one.definition.virtual ? 1 : 0);
  };
  return found.sort((a, b) => rank(a) - rank(b));
}
