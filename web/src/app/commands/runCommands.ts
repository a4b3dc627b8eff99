import { selectedOutputNodes } from "@/canvas/actions";
import { clearPending, interruptActive, pause, resume } from "@/run";
import { isPaused } from "../runState";
import { runActive, setMode, useRunControl } from "../runControl";
import { activeStore } from "@/workflows/workspace";
import { confirmDialog } from "../ui/ask";
import { freeMemory } from "@/api/calls";
import { toast } from "../ui/toast";
import { hasSelectedNodes } from "./onStore";
import type { Command } from "./registry";

function selectedTargets(): string[] {
  const store = activeStore();
  return store ? selectedOutputNodes(store) : [];
}

async function clearQueue(): Promise<void> {
  if (await confirmDialog({ title: "Clear the queue?", text: "All waiting runs are removed. The running one goes on.", confirm: "Clear", danger: true })) await clearPending();
}

async function unload(): Promise<void> {
  try {
    await freeMemory();
    toast({ kind: "success", title: "Models were unloaded" });
  } catch (error) {
    toast({ kind: "danger", title: "Models were not unloaded", text: error instanceof Error ? error.message : String(error) });
  }
}

export const runCommands: readonly Command[] = [
  { id: "run.run", title: "Run", group: "Run", icon: "play", keys: ["Mod+Enter"], inFields: true, words: "queue prompt generate", when: () => activeStore() !== null, run: () => runActive({ front: false }) },
  { id: "run.front", title: "Run at the front of the queue", group: "Run", keys: ["Mod+Shift+Enter"], inFields: true, when: () => activeStore() !== null, run: () => runActive({ front: true }) },
  { id: "run.selected", title: "Run selected outputs", group: "Run", icon: "scan", words: "queue selected output nodes", when: () => hasSelectedNodes() && selectedTargets().length > 0, run: () => runActive({ targets: selectedTargets() }) },
  { id: "run.onChange", title: "Run on change on or off", group: "Run", icon: "zap", words: "auto queue", run: () => setMode(useRunControl.getState().mode === "change" ? "run" : "change") },
  { id: "run.interrupt", title: "Interrupt", group: "Run", icon: "stop", keys: ["Mod+Alt+Enter"], inFields: true, words: "stop cancel", run: () => interruptActive() },
  { id: "run.pause", title: "Pause or resume the queue", group: "Run", icon: "pause", run: () => (isPaused() ? resume() : pause()) },
  { id: "run.clear", title: "Clear the queue", group: "Run", icon: "trash", words: "clear pending", run: clearQueue },
  { id: "run.unload", title: "Unload models", group: "Run", icon: "cpu", words: "free memory vram", run: unload },
];
