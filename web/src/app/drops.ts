/** Files dropped anywhere on the page, and what is pasted into it. */
import { create } from "zustand";
import { pasteText } from "@/canvas/actions";
import { openFile, openText } from "@/workflows/opening";
import { openAll } from "@/workflows/chooseFiles";
import { activeStore } from "@/workflows/workspace";
import { graphInView } from "./commands/onStore";

/** Whether files are being dragged over the page. */
export const useFileDrag = create<{ over: boolean }>(() => ({ over: false }));

const FIELD = "input, textarea, select, [contenteditable]:not([contenteditable=false])";

function carriesFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

function onDragOver(event: DragEvent): void {
  if (!carriesFiles(event)) return;
  // Without this the browser would leave the page for the file.
  event.preventDefault();
  if (!useFileDrag.getState().over) useFileDrag.setState({ over: true });
}

function onDragLeave(event: DragEvent): void {
  if (event.relatedTarget === null) useFileDrag.setState({ over: false });
}

function onDrop(event: DragEvent): void {
  useFileDrag.setState({ over: false });
  const files = [...(event.dataTransfer?.files ?? [])];
  if (files.length === 0) return;
  const taken = event.defaultPrevented;
  event.preventDefault();
  if (!taken) void openAll(files);
}

function onPaste(event: ClipboardEvent): void {
  if (event.defaultPrevented || !graphInView()) return;
  if (event.target instanceof Element && event.target.closest(FIELD)) return;
  const data = event.clipboardData;
  const store = activeStore();
  if (!data || !store) return;
  const [file] = data.files;
  const text = data.getData("text/plain");
  if (file) {
    event.preventDefault();
    void openFile(file, file.name || "pasted");
  } else if (text && pasteText(store, text, {})) event.preventDefault();
  else if (/^\s*\{|\bSteps: \d+, /.test(text)) {
    event.preventDefault();
    void openText(text, "Pasted workflow");
  }
}

export function startDrops(): () => void {
  const ended = () => useFileDrag.setState({ over: false });
  window.addEventListener("dragover", onDragOver);
  window.addEventListener("dragleave", onDragLeave);
  window.addEventListener("drop", onDrop);
  window.addEventListener("drop", ended, true);
  window.addEventListener("paste", onPaste);
  return () => {
    window.removeEventListener("dragover", onDragOver);
    window.removeEventListener("dragleave", onDragLeave);
    window.removeEventListener("drop", onDrop);
    window.removeEventListener("drop", ended, true);
    window.removeEventListener("paste", onPaste);
  };
}
