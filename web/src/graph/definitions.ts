/** What node classes look like: read from the server's `object_info`, with those nodes that only editors have. */
import { type Branches, CHOOSING, type Dynamic, dynamicParts, type Growth, withDynamics } from "./dynamic";
import { finite, isObject, text } from "./json";
import { roomOf, type Surface, surfaceOf } from "./surfaces";
import type { Document, Json, JsonObject, NodeRecord } from "./types";

/** `json`: set on the node, but by a widget that only its pack has. */
export type InputKind = "socket" | "int" | "float" | "string" | "boolean" | "combo" | "color" | "json";
export type Choice = string | number | boolean;

export interface InputDefinition {
  readonly name: string;
  readonly type: string;
  readonly kind: InputKind;
  readonly required: boolean;
  readonly label?: string;
  readonly tooltip?: string;
  readonly default?: Json;
  readonly min?: number;
  readonly max?: number;
  readonly step?: number;
  /** Decimals to round to, as a step; none if it is not rounded. */
  readonly round?: number;
  readonly multiline?: boolean;
  readonly placeholder?: string;
  readonly dynamicPrompts?: boolean;
  readonly choices?: readonly Choice[];
  /** Where to ask for the choices, if the server does not list them. */
  readonly remote?: JsonObject;
  readonly multiSelect?: boolean;
  /** Kind of file that can be uploaded: `image`, `video`, `audio`, `file`… */
  readonly upload?: string;
  /** Whether it can change by itself after a run. */
  readonly seed: boolean;
  readonly forceInput: boolean;
  readonly advanced?: boolean;
  readonly lazy?: boolean;
  readonly display?: string;
  readonly labelOn?: string;
  readonly labelOff?: string;
  /** Name of the widget that a pack brings for it. */
  readonly widget?: string;
  /** What is drawn on, spoken or filmed into; such a widget has more room than a line. */
  readonly surface?: Surface;
  /** Least height of a surface, or of a pack's widget. */
  readonly height?: number;
  /** The inputs that each of its choices brings. */
  readonly branches?: Branches;
  /** It stands for several inputs, as many as are linked. */
  readonly grows?: Growth;
  /** Inputs and outputs of one template have one type. */
  readonly template?: string;
  /** Everything the server said. */
  readonly options: JsonObject;
}

export interface OutputDefinition {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly tooltip?: string;
  readonly template?: string;
}

export interface NodeDefinition {
  readonly type: string;
  readonly title: string;
  readonly category: string;
  readonly doc: string;
  /** Required inputs first, in the declared order. */
  readonly inputs: readonly InputDefinition[];
  readonly outputs: readonly OutputDefinition[];
  readonly outputNode: boolean;
  readonly deprecated: boolean;
  readonly experimental: boolean;
  /** Only editors have it: a note, a reroute, a primitive, an instance of a subgraph. */
  readonly virtual: boolean;
  /** Another name of a node that is listed under one name: found in saved files, not offered for new nodes. */
  readonly alias: boolean;
  readonly module: string;
  readonly isInputList: boolean;
  /** There if the inputs of its nodes differ: `inputs` are those of one that holds nothing yet. */
  readonly dynamic?: Dynamic;
  readonly raw: JsonObject;
}

export type Definitions = ReadonlyMap<string, NodeDefinition>;

export interface DefinitionProblem {
  readonly type: string;
  readonly message: string;
}

const WIDGET_KINDS: Readonly<Record<string, InputKind>> = {
  INT: "int",
  FLOAT: "float",
  STRING: "string",
  BOOLEAN: "boolean",
  COMBO: "combo",
  COLOR: "color",
  [CHOOSING]: "combo",
  // Widgets of the field whose values are lists and objects.
  COLORS: "json",
  BOUNDING_BOX: "json",
  BOUNDING_BOXES: "json",
  CURVE: "json",
  RANGE: "json",
  COMPOSITOR: "json",
  // Names of files that a widget makes.
  AUDIO_RECORD: "string",
  WEBCAM: "string",
};
/** How a widget of the field is shown that takes its value from a type alone, as where the class is not known. */
export function kindOfType(type: string): InputKind {
  return WIDGET_KINDS[type] ?? "json";
}

const SEED_NAMES = new Set(["seed", "noise_seed"]);
const NO_NAMES: ReadonlySet<string> = new Set();

/** Read `object_info`. A definition that cannot be read is reported and left out; it never breaks the others. */
export function parseDefinitions(objectInfo: unknown): { definitions: Definitions; problems: DefinitionProblem[] } {
  const definitions = new Map<string, NodeDefinition>(VIRTUAL);
  const problems: DefinitionProblem[] = [];
  if (!isObject(objectInfo)) {
    problems.push({ type: "", message: "The server's list of nodes is not an object." });
    return { definitions, problems };
  }
  for (const [type, info] of Object.entries(objectInfo)) {
    try {
      definitions.set(type, parseDefinition(type, info));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      problems.push({ type, message: `The definition of the node ${type} cannot be read: ${reason}` });
    }
  }
  markAliases(definitions);
  return { definitions, problems };
}

/** Of a node with several names one is listed: the first that the field knows it by, so that other programs read what is saved here. */
function markAliases(definitions: Map<string, NodeDefinition>): void {
  const listed = new Set<string>();
  for (const [type, definition] of [...definitions]) {
    const own = text(definition.raw["alias_of"]);
    const known = own === undefined ? undefined : definitions.get(own);
    if (own === undefined || known === undefined) continue;
    if (listed.has(own)) definitions.set(type, { ...definition, alias: true });
    else definitions.set(own, { ...known, alias: true });
    listed.add(own);
  }
}

/** One entry of `object_info`. Throws if it cannot be understood. */
export function parseDefinition(type: string, info: Json | undefined): NodeDefinition {
  if (!isObject(info)) throw new TypeError("it is not an object.");
  const groups = info["input"] ?? {};
  if (!isObject(groups)) throw new TypeError("`input` is not an object.");
  return withDynamics({
    type,
    title: text(info["display_name"]) || type,
    category: text(info["category"]) ?? "",
    doc: text(info["description"]) ?? "",
    inputs: [...inputGroup(info, groups, "required"), ...inputGroup(info, groups, "optional")],
    outputs: parseOutputs(info),
    outputNode: info["output_node"] === true,
    deprecated: info["deprecated"] === true,
    experimental: info["experimental"] === true,
    virtual: false,
    alias: false,
    module: text(info["python_module"]) ?? "",
    isInputList: info["is_input_list"] === true,
    raw: info,
  });
}

function inputGroup(info: JsonObject, groups: JsonObject, group: "required" | "optional"): InputDefinition[] {
  const entries = groups[group] ?? {};
  if (!isObject(entries)) throw new TypeError(`\`input.${group}\` is not an object.`);
  const orders = info["input_order"];
  const listed = isObject(orders) ? orders[group] : undefined;
  const order = Array.isArray(listed) ? listed.filter((name): name is string => typeof name === "string") : [];
  const names = new Set([...order.filter((name) => name in entries), ...Object.keys(entries)]);
  return [...names].map((name) => parseInput(name, entries[name], group === "required"));
}

export function parseInput(name: string, entry: Json | undefined, required: boolean): InputDefinition {
  return parsed(name, entry, required, SEED_NAMES);
}

/** An input that belongs to another: only what it declares makes it a seed, whatever it is called. */
function parseInner(name: string, entry: Json | undefined, required: boolean): InputDefinition {
  return parsed(name, entry, required, NO_NAMES);
}

function parsed(name: string, entry: Json | undefined, required: boolean, seeds: ReadonlySet<string>): InputDefinition {
  if (!Array.isArray(entry) || entry.length === 0) throw new TypeError(`the input ${name} is not a list.`);
  const [declared, second] = entry as readonly Json[];
  const options = isObject(second) ? second : {};
  const type = socketType(declared);
  const listed = Array.isArray(declared) ? declared : options["options"];
  const forceInput = options["forceInput"] === true || options["rawLink"] === true;
  const kind = forceInput ? "socket" : widgetKind(type, options);
  const surface = kind === "socket" ? undefined : surfaceOf(type, options);
  return {
    name,
    type,
    kind,
    required,
    label: text(options["display_name"]),
    tooltip: text(options["tooltip"]),
    default: options["default"],
    min: finite(options["min"]),
    max: finite(options["max"]),
    step: finite(options["step"]),
    round: finite(options["round"]),
    multiline: options["multiline"] === true,
    placeholder: text(options["placeholder"]),
    dynamicPrompts: options["dynamicPrompts"] === true,
    choices: kind === "combo" ? choicesOf(listed) : undefined,
    remote: isObject(options["remote"]) ? options["remote"] : undefined,
    multiSelect: Boolean(options["multi_select"] ?? options["multiselect"]),
    upload: uploadKind(options),
    seed: isSeed(type, options, seeds.has(name)),
    forceInput,
    advanced: options["advanced"] === true,
    lazy: options["lazy"] === true,
    display: text(options["display"]),
    labelOn: text(options["label_on"]),
    labelOff: text(options["label_off"]),
    widget: packWidget(options),
    surface,
    height: heightOf(options) ?? roomOf(surface),
    options,
    ...dynamicParts(type, options, parseInner),
  };
}

/** The type of a socket: a list of choices is COMBO, and what is no text matches everything. */
export function socketType(declared: Json | undefined): string {
  if (typeof declared === "string" && declared !== "") return declared;
  return Array.isArray(declared) ? "COMBO" : "*";
}

function widgetKind(type: string, options: JsonObject): InputKind {
  // An input of several types names the one whose widget it has.
  const widget = text(options["widgetType"]) ?? "";
  const kind = WIDGET_KINDS[type] ?? WIDGET_KINDS[widget] ?? (widget ? "json" : "socket");
  return kind !== "socket" && options["display"] === "color" ? "color" : kind;
}

/** The name of a widget that no type has by itself. */
function packWidget(options: JsonObject): string | undefined {
  const name = text(options["widgetType"]) ?? "";
  return name === "" || name in WIDGET_KINDS ? undefined : name;
}

const LOWEST = 24;
const HIGHEST = 1200;

function heightOf(options: JsonObject): number | undefined {
  const height = text(options["widgetType"]) ? finite(options["widgetHeight"]) : undefined;
  return height === undefined ? undefined : Math.min(Math.max(height, LOWEST), HIGHEST);
}

function choicesOf(listed: Json | undefined): readonly Choice[] {
  const usable = (one: Json): one is Choice => ["string", "number", "boolean"].includes(typeof one);
  return Array.isArray(listed) ? (listed as readonly Json[]).filter(usable) : [];
}

function uploadKind(options: JsonObject): string | undefined {
  const key = Object.keys(options).find((one) => one.endsWith("_upload") && options[one] === true);
  return key?.slice(0, -"_upload".length);
}

function isSeed(type: string, options: JsonObject, named: boolean): boolean {
  const declared = options["control_after_generate"];
  return declared === undefined || declared === null ? named && type === "INT" : Boolean(declared);
}

function parseOutputs(info: JsonObject): OutputDefinition[] {
  const types = info["output"] ?? [];
  if (!Array.isArray(types)) throw new TypeError("`output` is not a list.");
  const at = (key: string, index: number): Json | undefined => {
    const list = info[key];
    return Array.isArray(list) ? (list as readonly Json[])[index] : undefined;
  };
  return (types as readonly Json[]).map((declared, index) => {
    const type = socketType(declared);
    return {
      type,
      name: text(at("output_name", index)) || type,
      isList: at("output_is_list", index) === true,
      tooltip: text(at("output_tooltips", index)) || undefined,
      template: text(at("output_matchtypes", index)) || undefined,
    };
  });
}

/** Whether an input is set on the node itself. */
export function isWidget(input: InputDefinition): boolean {
  return input.kind !== "socket";
}

/** The widgets of a node, in the order in which their values are saved. */
export function widgetsOf(definition: NodeDefinition): InputDefinition[] {
  return definition.inputs.filter(isWidget);
}

/** The inputs of a node that only take links. */
export function socketsOf(definition: NodeDefinition): InputDefinition[] {
  return definition.inputs.filter((input) => !isWidget(input));
}

export function inputOf(definition: NodeDefinition | undefined, name: string): InputDefinition | undefined {
  return definition?.inputs.find((input) => input.name === name);
}

// ---- nodes that only editors have

function virtual(type: string, title: string, doc: string, inputs: InputDefinition[], outputs: string[]): NodeDefinition {
  return {
    type,
    title,
    category: "utils",
    doc,
    inputs,
    outputs: outputs.map((one) => ({ name: one === "*" ? "" : one, type: one, isList: false })),
    outputNode: false,
    deprecated: false,
    experimental: false,
    virtual: true,
    alias: false,
    module: "",
    isInputList: false,
    raw: {},
  };
}

const note = (placeholder: string): InputDefinition =>
  parseInput("text", ["STRING", { multiline: true, default: "", placeholder }], true);

export const VIRTUAL: Definitions = new Map(
  [
    virtual("Note", "Note", "A remark on the canvas. It does not run.", [note("A remark")], []),
    virtual("MarkdownNote", "Markdown Note", "A remark in Markdown. It does not run.", [note("**Markdown**")], []),
    virtual("Reroute", "Reroute", "Passes a link on, to lay it out.", [parseInput("", ["*"], false)], ["*"]),
    virtual("PrimitiveNode", "Primitive", "Gives one value to the widgets it is linked to.", [], ["*"]),
  ].map((one) => [one.type, one]),
);

const GROUP_NODE = /^workflow[>/]/;

/** Whether nothing here knows the type of a node. Its data are kept and it is shown as missing. */
export function isMissing(document: Document, definitions: Definitions, node: NodeRecord): boolean {
  if (definitions.has(node.type) || document.graphs[node.type]?.subgraph) return false;
  if (!GROUP_NODE.test(node.type)) return true;
  const groups = document.extra["groupNodes"];
  return !isObject(groups) || !(node.type.replace(GROUP_NODE, "") in groups);
}
