/** Files that widgets hold by name: `sub/name.png [output]` is the field's way to name folders. */
import type { FileRef } from "@/api/calls";
import type { InputDefinition } from "@/graph/definitions";

/** The file of a value; null where it names none. */
export function fileNamed(value: unknown): FileRef | null {
  if (typeof value !== "string" || value.trim() === "") return null;
  const match = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value.trim());
  const path = match?.[1] ?? value;
  const at = path.lastIndexOf("/");
  return { filename: path.slice(at + 1), subfolder: at < 0 ? "" : path.slice(0, at), type: match?.[2] ?? "input" };
}

/** The value that names a file, of the input folder where it says nothing else. */
export function nameOf({ filename, subfolder, type }: FileRef): string {
  return `${subfolder ? `${subfolder}/` : ""}${filename}${type === "input" ? "" : ` [${type}]`}`;
}

/** The kind of file that can be dropped on a widget; undefined where it takes none. */
export function uploadKind(input: InputDefinition): string | undefined {
  if (input.surface === "recording") return "audio";
  return input.kind === "combo" ? input.upload : undefined;
}
