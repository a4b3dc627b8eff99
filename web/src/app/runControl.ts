/** The Run button: how often, in which mode, and what is sent. */
import { create } from "zustand";
import { startRunOnChange, submit } from "@/run";
import { activeTab, useWorkspace } from "@/workflows/workspace";
import { getSetting, setSetting } from "./settings/settings";
import { toast } from "./ui/toast";

export type RunMode = "run" | "change" | "front";

interface RunControl {
  batch: number;
  mode: RunMode;
}

export const useRunControl = create<RunControl>(() => ({ batch: 1, mode: "run" }));

let stopWatching: (() => void) | null = null;

export function setBatch(batch: number): void {
  const whole = Math.round(Number.isFinite(batch) ? batch : 1);
  useRunControl.setState({ batch: Math.min(Math.max(whole, 1), getSetting("run.batchLimit")) });
}

/** Run on change follows the tab in view until another mode is chosen. */
export function setMode(mode: RunMode): void {
  useRunControl.setState({ mode });
  follow();
}

function follow(): void {
  stopWatching?.();
  stopWatching = null;
  const tab = activeTab();
  if (useRunControl.getState().mode === "change" && tab) stopWatching = startRunOnChange({ store: tab.store, tab: tab.id });
}

/** Call once: run on change goes with the tab in view. */
export function startRunControl(): () => void {
  let before = "";
  const stop = useWorkspace.subscribe(({ activeId }) => {
    if (activeId === before) return;
    before = activeId;
    follow();
  });
  return () => {
    stop();
    stopWatching?.();
  };
}

/** Queues the workflow in view. */
export async function runActive(options: { front?: boolean; targets?: string[] } = {}): Promise<void> {
  const tab = activeTab();
  if (!tab) return;
  const { batch, mode } = useRunControl.getState();
  setSetting("welcomed", true);
  const front = options.front ?? mode === "front";
  const result = await submit({ store: tab.store, tab: tab.id, name: tab.name, batch, front, targets: options.targets });
  if (result.error) reportRefusal(result.error);
}

function reportRefusal(error: { status: number; message: string; details?: string }): void {
  const away = error.status === 0;
  toast({
    id: "run-refused",
    kind: "danger",
    title: away ? "The server does not answer" : "The workflow was not queued",
    text: away ? "Nothing was queued. The workflow stays as it is; run it once the server is back." : [error.message, error.details].filter(Boolean).join("\n"),
  });
}
