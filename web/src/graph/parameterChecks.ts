/** What may be said of a parameter: a range within the node's own, choices among its choices, a default that fits both. */
import type { Choice, InputDefinition } from "./definitions";
import type { ParameterFacts } from "./parameters";
import type { Json } from "./types";

/** The input as those see it who set the parameter: no bound beyond the node's own, no choice added. As the server narrows it. */
export function narrowed(input: InputDefinition, facts: ParameterFacts): InputDefinition {
  const next: { -readonly [key in keyof InputDefinition]: InputDefinition[key] } = { ...input };
  if (isNumber(input)) {
    const [min, max] = [bound(Math.max, input.min, facts.min), bound(Math.min, input.max, facts.max)];
    if (min !== undefined) next.min = min;
    if (max !== undefined) next.max = max;
    if (facts.step !== undefined) next.step = facts.step;
  }
  if (facts.choices !== undefined && input.choices !== undefined) next.choices = facts.choices.filter((one) => input.choices?.includes(one));
  if (facts.doc !== undefined) next.tooltip = facts.doc;
  return next;
}

function bound(pick: (a: number, b: number) => number, own: number | undefined, said: number | undefined): number | undefined {
  return own === undefined ? said : said === undefined ? own : pick(own, said);
}

export function isNumber(input: InputDefinition): boolean {
  return input.kind === "int" || input.kind === "float";
}

/** A number as it is written in a field: the number, undefined for an empty field, or what is wrong with it. */
export function readNumber(written: string, whole: boolean): number | undefined | string {
  if (written.trim() === "") return undefined;
  const value = Number(written.trim().replace(",", "."));
  if (!Number.isFinite(value)) return "Expected a number.";
  return whole && !Number.isInteger(value) ? "Expected a whole number." : value;
}

/** What is wrong with a bound or step that is about to be set; null if nothing is. */
export function numberProblem(input: InputDefinition, facts: ParameterFacts, key: "min" | "max" | "step", value: number | undefined): string | null {
  if (value === undefined) return null;
  if (key === "step") return value > 0 ? null : "A step is more than 0.";
  if (input.min !== undefined && value < input.min) return `The node takes no less than ${input.min}.`;
  if (input.max !== undefined && value > input.max) return `The node takes no more than ${input.max}.`;
  const next = { ...facts, [key]: value };
  if (next.min !== undefined && next.max !== undefined && next.min > next.max) return key === "min" ? `It is more than the maximum, ${next.max}.` : `It is less than the minimum, ${next.min}.`;
  return null;
}

/** A default as it is written in a field: the value, undefined for none, or `problem`. */
export function readDefault(input: InputDefinition, facts: ParameterFacts, written: string): { value?: Json; problem?: string } {
  const seen = narrowed(input, facts);
  if (written === "") return {};
  if (isNumber(seen)) {
    const value = readNumber(written, seen.kind === "int");
    if (typeof value === "string") return { problem: value };
    return value === undefined ? {} : withProblem(value, rangeProblem(seen, value));
  }
  if (seen.choices !== undefined) {
    const choice = seen.choices.find((one) => String(one) === written);
    return choice === undefined ? { problem: "It is none of the choices." } : { value: choice };
  }
  return { value: seen.kind === "boolean" ? written === "true" : written };
}

function withProblem(value: Json, problem: string | null): { value?: Json; problem?: string } {
  return problem === null ? { value } : { problem };
}

function rangeProblem({ min, max }: InputDefinition, value: number): string | null {
  if (min !== undefined && value < min) return `It is less than the minimum, ${min}.`;
  return max !== undefined && value > max ? `It is more than the maximum, ${max}.` : null;
}

/** What is wrong with a parameter as it stands, after its node or its range has changed; empty if nothing is. */
export function problemsOf(input: InputDefinition, facts: ParameterFacts): string[] {
  const found: string[] = [];
  if (isNumber(input)) {
    for (const key of ["min", "max", "step"] as const) {
      const problem = numberProblem(input, facts, key, facts[key]);
      if (problem !== null && !(key === "max" && facts.min !== undefined && facts.max !== undefined && facts.min > facts.max)) found.push(`${NAMES[key]}: ${problem}`);
    }
  }
  const gone = facts.choices?.filter((one) => input.choices !== undefined && !input.choices.includes(one)) ?? [];
  if (gone.length > 0) found.push(`The node has no longer the choice ${gone.slice(0, 3).join(", ")}.`);
  const value = facts.default;
  if (value !== undefined && (typeof value === "string" || typeof value === "number" || typeof value === "boolean")) {
    const { problem } = readDefault(input, facts, String(value));
    if (problem !== undefined) found.push(`Default: ${problem}`);
  }
  return found;
}

const NAMES = { min: "Minimum", max: "Maximum", step: "Step" } as const;

/** The choices with one more, or one less, in the order of the node; undefined for all of them: no narrowing. */
export function toggledChoices(all: readonly Choice[], chosen: readonly Choice[] | undefined, one: Choice): Choice[] | undefined {
  const before = new Set(chosen ?? all);
  if (!before.delete(one)) before.add(one);
  const next = all.filter((choice) => before.has(choice));
  return next.length === 0 || next.length === all.length ? undefined : next;
}
