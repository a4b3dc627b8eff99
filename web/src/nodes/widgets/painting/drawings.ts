/**
 * What was painted, as files. Each stroke makes a new one, under a name that the widget then holds: undo and redo go through
 * names. Only those that are still wanted when the person pauses, leaves or runs are sent to the server.
 */
import { uploadImage } from "@/api/calls";
import { toast } from "@/app/ui";

/** Strokes that can be taken back are kept here; more than the history holds are not needed. */
const MOST = 200;

const held = new Map<string, Promise<Blob>>();
const sending = new Map<string, Promise<void>>();

/** A name as the field's front end gives it: `painter-81-1793022443249.png`. */
export function newName(node: string, now: number): string {
  return `painter-${node.replace(/\W+/g, "_")}-${now}.png`;
}

export function hold(name: string, drawing: Promise<Blob>): void {
  held.set(name, drawing);
  const [oldest] = held.keys();
  if (held.size > MOST && oldest !== undefined) held.delete(oldest);
}

/** The pixels of a file that was painted here; undefined where only the server has it. */
export function drawingOf(name: string): Promise<Blob> | undefined {
  return held.get(name);
}

/** Once the server has it. What went wrong is told. */
export function sent(name: string): Promise<void> {
  const drawing = held.get(name);
  if (drawing === undefined) return Promise.resolve();
  const known = sending.get(name);
  if (known !== undefined) return known;
  const made = send(name, drawing).catch((error: unknown) => {
    sending.delete(name);
    toast({ title: "What was painted was not saved", text: error instanceof Error ? error.message : String(error), kind: "danger" });
  });
  sending.set(name, made);
  return made;
}

async function send(name: string, drawing: Promise<Blob>): Promise<void> {
  await uploadImage(await drawing, { name, overwrite: true });
}
