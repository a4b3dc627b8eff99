/** Copy and paste through the system clipboard, so that it works between tabs and windows. */
import { copyFragment, fragmentFromText, fragmentToText, isEmptyFragment } from "@/graph/clipboard";
import { duplicate, type Pasted, paste } from "@/graph/edits";
import { currentGraph, type DocumentStore } from "@/graph/store";
import type { Point } from "@/graph/types";
import { activeCanvas } from "../handle";
import { deleteSelection } from "./selection";

/** Kept beside the system clipboard, which a page without a secure origin may not read. */
let last: string | null = null;

export interface PasteWish {
  /** Also link the copies with the nodes outside that fed the originals. */
  readonly links?: boolean;
  readonly at?: Point;
}

/** The selection as text; null if nothing is selected. */
export function selectionText(store: DocumentStore): string | null {
  const state = store.getState();
  const fragment = copyFragment(state.document, currentGraph(state).id, state.selection);
  return isEmptyFragment(fragment) ? null : fragmentToText(fragment);
}

export async function copySelection(store: DocumentStore): Promise<boolean> {
  const text = selectionText(store);
  if (text === null) return false;
  last = text;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Refused by the browser: our own copy still serves this tab.
  }
  return true;
}

export async function cutSelection(store: DocumentStore): Promise<boolean> {
  const copied = await copySelection(store);
  if (copied) deleteSelection(store, { reconnect: false });
  return copied;
}

export async function pasteClipboard(store: DocumentStore, wish: PasteWish = {}): Promise<boolean> {
  return pasteText(store, (await readClipboard()) ?? "", wish) || (last !== null && pasteText(store, last, wish));
}

async function readClipboard(): Promise<string | null> {
  try {
    return await navigator.clipboard.readText();
  } catch {
    return null;
  }
}

/** False if the text is none of ours. */
export function pasteText(store: DocumentStore, text: string, { links = false, at }: PasteWish = {}): boolean {
  const fragment = fragmentFromText(text);
  if (fragment === null) return false;
  const state = store.getState();
  const graphId = currentGraph(state).id;
  const place = at ?? activeCanvas()?.pointer();
  const made: Pasted[] = [];
  state.edit("Paste", (draft) => void made.push(paste(draft, graphId, fragment, { ...(place ? { at: place } : { offset: [30, 30] }), links: links ? "outside" : "inside" })));
  if (made[0]) store.getState().select(made[0]);
  return true;
}

export function duplicateSelection(store: DocumentStore): void {
  const { edit, selection, select } = store.getState();
  const graphId = currentGraph(store.getState()).id;
  const made: Pasted[] = [];
  edit("Duplicate", (draft) => void made.push(duplicate(draft, graphId, selection, [30, 30], { links: "outside" })));
  if (made[0]) select(made[0]);
}
