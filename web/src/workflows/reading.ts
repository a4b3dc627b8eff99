/** Files and texts that carry a graph, as workflows. All but plain JSON is read by the server. */
import { request } from "@/api/client";
import { toast } from "@/app/ui/toast";
import { inexactNumbers, parseWorkflowText } from "@/graph/load";

/** What must be known of a graph that was made of something else, such as settings that mean another thing here. */
export interface Note {
  readonly message: string;
  readonly details?: string;
}

export interface ReadGraph {
  readonly json: unknown;
  readonly notes: readonly Note[];
}

const JSON_FILE = /\.json$|^application\/json/i;
const TEXT_FILE = /\.txt$|^text\//i;
/** Files of tensors say in their head what they carry, and may hold gigabytes after it. */
const TENSOR_FILE = /\.(safetensors|latent)$/i;

/** A file of any kind that can carry a graph. Throws LoadError or ApiError. */
export async function readFile(file: Blob, name: string): Promise<ReadGraph> {
  if (JSON_FILE.test(name) || JSON_FILE.test(file.type)) return fromJson(await file.text());
  if (TEXT_FILE.test(name) || TEXT_FILE.test(file.type)) return readText(await file.text());
  return convert(TENSOR_FILE.test(name) ? await headOf(file) : file);
}

/** Text that is a workflow or prompt as JSON, or the settings that the Stable Diffusion web UI writes. */
export function readText(text: string): Promise<ReadGraph> {
  if (/^[\s\ufeff]*[[{]/.test(text)) return Promise.resolve(fromJson(text));
  return convert(new Blob([text], { type: "text/plain" }));
}

/** Whole numbers that a browser cannot hold, such as some seeds, are told: they would run as others. */
function fromJson(text: string): ReadGraph {
  const notes = inexactNumbers(text).map((one) => ({ message: `A browser cannot hold the number ${one}`, details: `it is ${BigInt(Number(one))} here; run the file with the server or its command line to keep it` }));
  return { json: parseWorkflowText(text), notes };
}

/** The length in the first eight bytes, and the head that is so long. */
export async function headOf(file: Blob): Promise<Blob> {
  const start = await file.slice(0, 8).arrayBuffer();
  if (start.byteLength < 8) return file;
  const length = new DataView(start).getBigUint64(0, true);
  return length > BigInt(file.size) ? file : file.slice(0, 8 + Number(length));
}

/** What the server makes of it. Throws ApiError. */
export async function convert(body: Blob): Promise<ReadGraph> {
  const answer = await request("api/v1/convert?to=workflow", { method: "POST", body, headers: { "Content-Type": body.type || "application/octet-stream" } });
  const { workflow, notes = [] } = (await answer.json()) as { workflow?: unknown; notes?: readonly Note[] };
  if (!workflow) throw new Error("The server found no graph in it.");
  return { json: workflow, notes };
}

const SHOWN = 4;

export function tellNotes(name: string, notes: readonly Note[]): void {
  if (notes.length === 0) return;
  const lines = notes.slice(0, SHOWN).map(({ message, details }) => (details ? `${message}: ${details}` : message));
  if (notes.length > SHOWN) lines.push(`and ${notes.length - SHOWN} more`);
  toast({ id: "notes", kind: "warning", title: `“${name}” was opened; not everything is as it was`, text: lines.join("\n") });
}
