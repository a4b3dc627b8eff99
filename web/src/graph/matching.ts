/** Which sockets fit together, by the rules of the server (`types_match` there), and why others do not. */
import type { Definitions, NodeDefinition } from "./definitions";

export const ANY = "*";

/** Whether an output of type `from` may feed an input of type `to`. Each may be a union: "IMAGE,MASK". */
export function typesMatch(from: string, to: string): boolean {
  if (from === to || from === ANY || to === ANY) return true;
  const [have, want] = [new Set(from.split(",")), new Set(to.split(","))];
  if (have.has(ANY) || want.has(ANY)) return true;
  for (const one of have) if (want.has(one)) return true;
  if (have.has("INT") && want.has("FLOAT")) return true;
  return (have.has("COMBO") || want.has("COMBO")) && (have.has("STRING") || want.has("STRING"));
}

/** Why an output of type `from` cannot feed an input of type `to`; null if it can. */
export function whyNot(from: string, to: string): string | null {
  if (typesMatch(from, to)) return null;
  const hint = BRIDGES[`${from}>${to}`];
  return `${spell(from)} cannot feed an input of type ${spell(to)}.${hint ? ` ${hint}` : ""}`;
}

const BRIDGES: Readonly<Record<string, string>> = {
  "LATENT>IMAGE": "Put a VAE Decode between them.",
  "IMAGE>LATENT": "Put a VAE Encode between them.",
  "MASK>IMAGE": "Put a Convert Mask to Image between them.",
  "IMAGE>MASK": "Put a Convert Image to Mask between them.",
  "STRING>CONDITIONING": "Put a CLIP Text Encode between them.",
  "CLIP>CONDITIONING": "Put a CLIP Text Encode between them.",
  "FLOAT>INT": "A FLOAT would lose its decimals: use a node that rounds.",
};

function spell(type: string): string {
  return type.split(",").join(" or ");
}

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
  for (const definition of definitions.values()) {
    const slots = from.side === "output" ? definition.inputs : definition.outputs;
    const fits = (type: string): boolean =>
      from.side === "output" ? typesMatch(from.type, type) : typesMatch(type, from.type);
    const exact = slots.findIndex((slot) => slot.type.split(",").some((one) => from.type.split(",").includes(one)));
    const slot = exact >= 0 ? exact : slots.findIndex((one) => fits(one.type));
    if (slot >= 0) found.push({ definition, slot, exact: exact >= 0 && from.type !== ANY });
  }
  const rank = (one: Suggestion): number =>
    (one.exact ? 0 : 4) + (one.definition.deprecated ? 2 : 0) + (one.definition.virtual ? 1 : 0);
  return found.sort((a, b) => rank(a) - rank(b));
}
