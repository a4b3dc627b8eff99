/** What a bypassed node passes on, by the rule of the field. */
import { type NodeDefinition, socketsOf, widgetsOf } from "./definitions";
import { sameType } from "./matching";
import type { NodeRecord } from "./types";

/**
 * The input that a bypassed node passes on as output `slot` to one that asks for a type; -1 if none. Where any type will do
 * it is the one beside the output, else the first. Inputs count in the order of the class, sockets before widgets.
 */
export function passedInput(node: NodeRecord, slot: number, asked: string, definition?: NodeDefinition): number {
  const order = inputOrder(node, definition);
  const typeAt = (at: number): string | undefined => node.inputs[order[at] ?? -1]?.type;
  if (asked === "*" || asked === "") return order[slot] ?? order[0] ?? -1;
  if (sameType(typeAt(slot) ?? "none", asked) && slot < order.length) return order[slot] ?? -1;
  const exact = order.findIndex((_, at) => typeAt(at) === asked);
  return order[exact >= 0 ? exact : order.findIndex((_, at) => sameType(typeAt(at) ?? "none", asked))] ?? -1;
}

function inputOrder(node: NodeRecord, definition: NodeDefinition | undefined): number[] {
  const all = [...node.inputs.keys()];
  if (definition === undefined) return all;
  const names = [...socketsOf(definition), ...widgetsOf(definition)].map((input) => input.name);
  const rank = (at: number): number => (names.indexOf(node.inputs[at]?.widget ?? node.inputs[at]?.name ?? "") + names.length + 1) % (names.length + 1);
  return all.sort((a, b) => rank(a) - rank(b) || a - b);
}
