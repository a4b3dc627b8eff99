/** A choice whose options stand on the node itself: widgets of the field's front end that no class declares. */
import type { Choice, InputDefinition } from "./definitions";
import type { Json } from "./types";

export const CUSTOM_COMBO = "CustomCombo";

type Values = Readonly<Record<string, Json>>;

const OPTION = /^option(\d+)$/;

/** Its inputs: the choice, the place of the choice, and the options with a free one after the last that says something. */
export function customInputs(declared: readonly InputDefinition[], values: Values): InputDefinition[] {
  const options = optionsIn(values);
  const count = Math.max(options.length + (options.at(-1) ? 1 : 0), 1);
  const choices: Choice[] = options.filter((one): one is string => typeof one === "string" && one !== "");
  const own = (name: string, type: string, kind: InputDefinition["kind"], more: object): InputDefinition => ({ name, type, kind, required: true, seed: false, forceInput: false, options: {}, ...more });
  const rest = declared.filter((one) => one.name !== "choice" && one.name !== "index" && !OPTION.test(one.name));
  return [
    own("choice", "COMBO", "combo", { ...declared.find((one) => one.name === "choice"), choices }),
    own("index", "INT", "int", { default: 0, min: 0, advanced: true }),
    ...Array.from({ length: count }, (_, at) => own(`option${at + 1}`, "STRING", "string", { default: "" })),
    ...rest,
  ];
}

/** The values of the options in their order; null for one between that has none. */
function optionsIn(values: Values): Json[] {
  const found: Json[] = [];
  for (const [name, value] of Object.entries(values)) {
    const number = OPTION.exec(name)?.[1];
    if (number !== undefined && Number(number) > 0 && Number(number) <= MOST) found[Number(number) - 1] = value;
  }
  return Array.from(found, (one) => one ?? null);
}

const MOST = 200;

/** Places for as many options as a saved list of values has: all after the choice and its place. */
export function savedOptions(saved: Json | undefined): Record<string, null> {
  const count = Array.isArray(saved) ? Math.min(saved.length - 2, MOST) : 0;
  return Object.fromEntries(Array.from({ length: Math.max(count, 0) }, (_, at) => [`option${at + 1}`, null]));
}

/** Where among the options the choice stands, which is a value of its own; null if it is none of them. */
export function placeOfChoice(values: Values): number | null {
  const at = optionsIn(values).indexOf(values["choice"] ?? null);
  return at < 0 ? null : at;
}
