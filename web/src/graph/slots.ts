/** Inputs and outputs of a node: as a file has them, with what the definition adds. */
import { type NodeDefinition, isWidget, socketType } from "./definitions";
import { finite, isObject, objects, text } from "./json";
import type { InputSlot, JsonObject, OutputSlot } from "./types";

/** One saved input. Its link is decided by the reader of the links. */
export function readInput(raw: JsonObject, definition: NodeDefinition | undefined): InputSlot {
  const name = text(raw["name"]) ?? "";
  const widget = isObject(raw["widget"]) ? text(raw["widget"]["name"]) : undefined;
  const declared = definition?.inputs.find((one) => one.name === name);
  const stands = widget ?? (declared && isWidget(declared) ? name : undefined);
  return {
    name,
    type: socketType(raw["type"]),
    link: null,
    ...(stands === undefined ? {} : { widget: stands }),
    ...labelAndShape(raw),
    raw,
  };
}

export function readOutput(raw: JsonObject): OutputSlot {
  const type = socketType(raw["type"]);
  return { name: text(raw["name"]) ?? type, type, links: [], ...labelAndShape(raw), raw };
}

function labelAndShape(raw: JsonObject): { label?: string; shape?: number } {
  const [label, shape] = [text(raw["label"]), finite(raw["shape"])];
  return { ...(label ? { label } : {}), ...(shape === undefined ? {} : { shape }) };
}

/** The inputs of a new node. */
export function newInputs(definition: NodeDefinition): InputSlot[] {
  return definition.inputs.map((one) => ({
    name: one.name,
    type: one.type,
    link: null,
    ...(isWidget(one) ? { widget: one.name } : {}),
    raw: {},
  }));
}

export function newOutputs(definition: NodeDefinition): OutputSlot[] {
  return definition.outputs.map((one) => ({ name: one.name, type: one.type, links: [], raw: {} }));
}

/** `slots` and after them what the definition has beyond; the very same list if that is nothing. */
export function withDefinedInputs(slots: readonly InputSlot[], definition: NodeDefinition | undefined): readonly InputSlot[] {
  if (definition === undefined || definition.type === "Reroute") return slots;
  const known = new Set(slots.map((slot) => slot.widget ?? slot.name));
  const added = newInputs(definition).filter((slot) => !known.has(slot.name));
  return added.length === 0 ? slots : [...slots, ...added.map((slot) => ({ ...slot, added: true as const }))];
}

export function withDefinedOutputs(
  slots: readonly OutputSlot[],
  definition: NodeDefinition | undefined,
): readonly OutputSlot[] {
  if (definition === undefined || slots.length >= definition.outputs.length) return slots;
  const added = newOutputs(definition).slice(slots.length);
  return [...slots, ...added.map((slot) => ({ ...slot, added: true as const }))];
}

/** Without the inputs at the end that only a definition had put there and that no link uses. */
export function withoutAdded<S extends InputSlot | OutputSlot>(slots: readonly S[]): readonly S[] {
  const used = slots.findLastIndex((slot) => !slot.added || ("links" in slot ? slot.links.length > 0 : slot.link !== null));
  return used === slots.length - 1 ? slots : slots.slice(0, used + 1);
}

export function savedSlots(raw: JsonObject, key: "inputs" | "outputs"): JsonObject[] {
  return objects(raw[key]);
}
