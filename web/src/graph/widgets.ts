/** Reading and checking the value of one widget. Where values lie in files is the matter of `values.ts`. */
import { type Definitions, type InputDefinition, inputOf } from "./definitions";
import { shapeOf } from "./dynamic";
import type { Json, NodeRecord } from "./types";
import { defaultValue } from "./values";

export { AFTER_RUN, defaultValue } from "./values";

/** The value of a widget of `node`, or what it has if it was never set. */
export function widgetValue(node: NodeRecord, input: InputDefinition): Json {
  const value = node.values[input.name];
  return value === undefined || (value === null && !input.required) ? defaultValue(input) : asTaken(input, value);
}

const OLD_PREFIX = "sample_";

/** A value of a file as the field takes it: samplers were once called by the names of functions, a text may be a list. */
function asTaken(input: InputDefinition, value: Json): Json {
  if (input.kind === "string" && input.multiline && Array.isArray(value)) return value.join(",");
  const old = input.name === "sampler_name" && typeof value === "string" && value.startsWith(OLD_PREFIX);
  return old ? value.slice(OLD_PREFIX.length) : value;
}

/** Where among the inputs of `node` the widget or socket `name` stands; -1 if nowhere. */
export function inputSlotOf(node: NodeRecord, name: string): number {
  const byWidget = node.inputs.findIndex((slot) => slot.widget === name);
  return byWidget >= 0 ? byWidget : node.inputs.findIndex((slot) => slot.name === name);
}

/** Whether the value of the input `name` comes over a link. */
export function isLinked(node: NodeRecord, name: string): boolean {
  return node.inputs.some((slot) => slot.link !== null && (slot.widget ?? slot.name) === name);
}

/** The nearest value that a widget can have: numbers within their range and on their step, text read as a number. */
export function coerce(input: InputDefinition, value: Json): Json {
  switch (input.kind) {
    case "int":
      return number(input, value, 1, Math.round);
    case "float":
      return number(input, value, input.round ?? 0, (one) => one);
    case "boolean":
      return typeof value === "string" ? value === "true" : Boolean(value);
    case "string":
      return typeof value === "string" ? value : value === null ? "" : JSON.stringify(value);
    case "combo":
      return choice(input, value);
    case "color":
    case "json":
    case "socket":
      return value;
  }
}

function number(input: InputDefinition, value: Json, step: number, whole: (one: number) => number): Json {
  const read = typeof value === "string" && value.trim() !== "" ? Number(value.replace(",", ".")) : value;
  if (typeof read !== "number" || !Number.isFinite(read)) return defaultValue(input);
  const rounded = step > 0 ? tidy(whole(Math.round(read / step)) * step) : read;
  return Math.min(Math.max(rounded, input.min ?? -Infinity), input.max ?? Infinity);
}

/** Without the dust of binary fractions: 0.1 + 0.2 is 0.3. */
export function tidy(value: number): number {
  return Number.parseFloat(value.toPrecision(12));
}

/** `value` moved by `steps` steps of its widget, within its range. */
export function stepped(input: InputDefinition, value: number, steps: number): number {
  const step = input.step ?? (input.kind === "int" ? 1 : 0.1);
  const moved = tidy(value + steps * step);
  return coerce(input, moved) as number;
}

function choice(input: InputDefinition, value: Json): Json {
  const choices = input.choices ?? [];
  if (input.multiSelect) return Array.isArray(value) ? value : [value];
  return choices.find((one) => one === value) ?? choices.find((one) => String(one) === String(value)) ?? value;
}

/** Why a widget's value cannot run; null if it can. A choice that is gone is kept, never changed silently. */
export function whyInvalid(input: InputDefinition, value: Json): string | null {
  if (input.kind === "combo" && !input.multiSelect && input.remote === undefined) {
    const choices = input.choices ?? [];
    if (choices.length === 0) return "There is nothing to choose from.";
    if (!choices.some((one) => one === value)) return `${JSON.stringify(value)} is not among the choices.`;
  }
  if (input.kind === "int" || input.kind === "float") {
    if (typeof value !== "number") return `${JSON.stringify(value)} is no number.`;
    if (input.min !== undefined && value < input.min) return `${value} is below the smallest value, ${input.min}.`;
    if (input.max !== undefined && value > input.max) return `${value} is above the largest value, ${input.max}.`;
    if (input.kind === "int" && !Number.isInteger(value)) return `${value} is not a whole number.`;
  }
  return null;
}

/** The value of a seed for the run after this one. */
export function nextSeed(input: InputDefinition | undefined, value: Json, control: string, random = Math.random): Json {
  const [least, most] = [input?.min ?? 0, Math.min(input?.max ?? LARGEST_SEED, LARGEST_SEED)];
  const now = typeof value === "number" ? value : least;
  const step = input?.kind === "float" ? (input.step ?? 1) : 1;
  switch (control) {
    case "increment":
      return Math.min(now + step, most);
    case "increment-wrap":
      return now + step > most ? least : now + step;
    case "decrement":
      return Math.max(now - step, least);
    case "randomize":
      return randomBetween(Math.max(least, 0), most, random);
    default:
      return value;
  }
}

/** Above this a number of JavaScript is no longer exact, and would not come back the same. */
export const LARGEST_SEED = Number.MAX_SAFE_INTEGER;

function randomBetween(least: number, most: number, random: () => number): number {
  return least + Math.floor(random() * (most - least + 1));
}

/** Seeds of a node that change after a run: name → next value. */
export function nextSeeds(node: NodeRecord, definitions: Definitions, random = Math.random): Record<string, Json> {
  const next: Record<string, Json> = {};
  const definition = definitions.get(node.type);
  for (const [name, control] of Object.entries(node.controls)) {
    if (control === "fixed" || isLinked(node, name)) continue;
    const input = inputOf(definition && shapeOf(node, definition), name);
    const now = node.values[name] ?? (input ? defaultValue(input) : null);
    const choices = input?.choices;
    next[name] = choices ? nextChoice(choices as readonly Json[], now, control, random) : nextSeed(input, now, control, random);
  }
  return next;
}

function nextChoice(choices: readonly Json[], now: Json, control: string, random: () => number): Json {
  if (choices.length === 0) return now;
  const at = choices.indexOf(now);
  const last = choices.length - 1;
  const next: Record<string, number> = {
    increment: Math.min(at + 1, last),
    "increment-wrap": (at + 1) % choices.length,
    decrement: Math.max(at - 1, 0),
    randomize: Math.floor(random() * choices.length),
  };
  return choices[next[control] ?? at] ?? now;
}
