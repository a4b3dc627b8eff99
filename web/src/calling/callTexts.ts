/** How the workflow in view is called with its present values: over HTTP, from Python, on the command line. */
import type { Json } from "@/graph/types";

export interface Call {
  /** The name of the saved file: its path without `.json`. */
  readonly workflow: string;
  /** The address of the server, without a slash at its end. */
  readonly server: string;
  /** Parameter → value, in their order. */
  readonly values: readonly (readonly [name: string, value: Json])[];
}

export const WAYS = ["http", "python", "command"] as const;
export type Way = (typeof WAYS)[number];

/** Options of `safelight run` itself: a parameter of that name is reached by `--set` only. */
const OWN_OPTIONS = new Set(["base-directory", "credentials", "debug", "help", "json", "json-lines", "most-cells", "no-cache", "only", "out", "partial", "quiet", "server", "set", "sheet", "sweep", "token", "watch"]);

export function callText(call: Call, way: Way): string {
  return { http: httpCall, python: pythonCall, command: commandCall }[way](call);
}

function httpCall({ workflow, server, values }: Call): string {
  const path = workflow.split("/").map(encodeURIComponent).join("/");
  const body = JSON.stringify(Object.fromEntries(values), null, 2);
  return [`curl ${quoted(`${server}/api/v1/workflows/${path}/run`)}`, "-H 'Content-Type: application/json'", `-d ${quoted(body)}`].join(" \\\n  ");
}

function pythonCall({ workflow, values }: Call): string {
  const named = values.filter(([name]) => isKeyword(name));
  const others = values.filter(([name]) => !isKeyword(name));
  const dict = others.length === 0 ? [] : [`{${others.map(([name, value]) => `${literal(name)}: ${literal(value)}`).join(", ")}}`];
  const lines = [...dict, ...named.map(([name, value]) => `${name}=${literal(value)}`)].map((one) => `        ${one},\n`);
  return [
    "from engine import Workflow\n",
    `with Workflow.load(${literal(workflow)}) as workflow:`,
    lines.length === 0 ? "    result = workflow.run()" : `    result = workflow.run(\n${lines.join("")}    )`,
    "    for file in result.files:",
    "        print(file.path)",
  ].join("\n");
}

function commandCall({ workflow, values }: Call): string {
  const options = values.map(([name, value]) => option(name, value));
  return [`safelight run ${shellWord(workflow)}`, ...options].join(" \\\n  ");
}

function option(name: string, value: Json): string {
  const written = typeof value === "string" ? value : JSON.stringify(value);
  const word = name.replaceAll("_", "-");
  if (OWN_OPTIONS.has(word) || !/^[\w.-]+$/.test(name)) return `--set ${shellWord(`${name}=${written}`)}`;
  return written.startsWith("-") && typeof value === "string" ? `--${word}=${shellWord(written)}` : `--${word} ${shellWord(written)}`;
}

// ---- in the words of each

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text);
}

const WORDS = new Set(
  ("False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda " + "nonlocal not or pass raise return try while with yield").split(" "),
);

/** Arguments of `run` itself, which no parameter can be given as. */
const TAKEN = new Set(["progress", "previews", "timeout"]);

function isKeyword(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !WORDS.has(name) && !TAKEN.has(name);
}

/** A value as Python writes it. Texts of JSON are texts of Python. */
function literal(value: Json): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${literal(one as Json)}`).join(", ")}}`;
  return JSON.stringify(value);
}
