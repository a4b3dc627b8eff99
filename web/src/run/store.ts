/** The store of runs. Only this folder writes to it. */
import { useStore } from "zustand";
import { createStore } from "zustand/vanilla";
import { NO_RUN, type RunState, type TabRun } from "./types";

export const runStore = createStore<RunState>(() => ({
  connection: "connecting",
  queue: { pending: 0, running: 0 },
  paused: false,
  queueVersion: 0,
  activeTab: "main",
  tabs: {},
}));

export function useRun<T>(selector: (state: RunState) => T): T {
  return useStore(runStore, selector);
}

export function tabRun(tab: string): TabRun {
  return runStore.getState().tabs[tab] ?? NO_RUN;
}

export function setTabRun(tab: string, change: Partial<TabRun>): void {
  runStore.setState(({ tabs }) => ({ tabs: { ...tabs, [tab]: { ...(tabs[tab] ?? NO_RUN), ...change } } }));
}

/** The tab whose runs the page shows. */
export function setActiveTab(tab: string): void {
  if (runStore.getState().activeTab !== tab) runStore.setState({ activeTab: tab });
}

export function bumpQueue(): void {
  runStore.setState(({ queueVersion }) => ({ queueVersion: queueVersion + 1 }));
}
