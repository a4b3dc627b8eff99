/** The open workflows: one document store per tab, one of them in view. */
import { useStore } from "zustand";
import { create } from "zustand";
import type { DocumentState, DocumentStore } from "@/graph/store";

export interface Tab {
  readonly id: string;
  readonly name: string;
  /** The file in the user's folder, like `portraits/first.json`; null if it was never saved. */
  readonly path: string | null;
  readonly store: DocumentStore;
  /** Has changes that the file has not, from before the page was loaded. */
  readonly unsaved: boolean;
}

interface Workspace {
  readonly tabs: readonly Tab[];
  readonly activeId: string;
}

export const useWorkspace = create<Workspace>(() => ({ tabs: [], activeId: "" }));

export const UNTITLED = "Untitled";

export function newTabId(): string {
  return `tab-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
}

/** `name`, or `name 2`… if a tab already has it. */
export function freeName(name: string): string {
  const taken = new Set(useWorkspace.getState().tabs.map((tab) => tab.name));
  if (!taken.has(name)) return name;
  for (let number = 2; ; number += 1) if (!taken.has(`${name} ${number}`)) return `${name} ${number}`;
}

export function activeTab(): Tab | null {
  const { tabs, activeId } = useWorkspace.getState();
  return tabs.find((tab) => tab.id === activeId) ?? null;
}

export function activeTabId(): string {
  return useWorkspace.getState().activeId;
}

/** The document in view; null only before the page has started. */
export function activeStore(): DocumentStore | null {
  return activeTab()?.store ?? null;
}

export function tabById(id: string): Tab | null {
  return useWorkspace.getState().tabs.find((tab) => tab.id === id) ?? null;
}

export function isDirty(tab: Tab): boolean {
  return tab.unsaved || tab.store.getState().dirty;
}

/** Puts a tab in view. */
export function activate(id: string): void {
  if (tabById(id)) useWorkspace.setState({ activeId: id });
}

/** Adds a tab after the one in view and shows it. */
export function addTab(tab: Tab, options: { replaceBlank?: boolean; show?: boolean } = {}): void {
  useWorkspace.setState(({ tabs, activeId }) => {
    const at = tabs.findIndex((other) => other.id === activeId);
    const before = tabs[at];
    const blank = options.replaceBlank && before && isBlank(before);
    const next = [...tabs.slice(0, blank ? at : at + 1), tab, ...tabs.slice(at + 1)];
    return { tabs: next, activeId: options.show === false && activeId ? activeId : tab.id };
  });
}

/** Nothing in it and never anything done: opening something else may take its place. */
function isBlank(tab: Tab): boolean {
  const { document, canUndo, canRedo } = tab.store.getState();
  const empty = Object.keys(document.graphs["root"]?.nodes ?? {}).length === 0;
  return empty && !canUndo && !canRedo && tab.path === null && !isDirty(tab);
}

export function updateTab(id: string, change: Partial<Omit<Tab, "id" | "store">>): void {
  useWorkspace.setState(({ tabs }) => ({ tabs: tabs.map((tab) => (tab.id === id ? { ...tab, ...change } : tab)) }));
}

/** Takes a tab away without asking; the neighbour comes into view. */
export function removeTab(id: string): void {
  useWorkspace.setState(({ tabs, activeId }) => {
    const at = tabs.findIndex((tab) => tab.id === id);
    const rest = tabs.filter((tab) => tab.id !== id);
    return { tabs: rest, activeId: activeId === id ? ((rest[at] ?? rest.at(-1))?.id ?? "") : activeId };
  });
}

/** Moves a tab to another place in the row. */
export function moveTab(id: string, to: number): void {
  useWorkspace.setState(({ tabs }) => {
    const tab = tabs.find((other) => other.id === id);
    if (!tab) return { tabs };
    const rest = tabs.filter((other) => other.id !== id);
    return { tabs: [...rest.slice(0, to), tab, ...rest.slice(to)] };
  });
}

/** The tab `step` places to the right, round the end. */
export function stepTab(step: number): void {
  const { tabs, activeId } = useWorkspace.getState();
  const at = tabs.findIndex((tab) => tab.id === activeId);
  const next = tabs[(at + step + tabs.length) % tabs.length];
  if (next) activate(next.id);
}

export function useActiveTab(): Tab | null {
  return useWorkspace((state) => state.tabs.find((tab) => tab.id === state.activeId) ?? null);
}

/** A part of the document state of a tab, live. */
export function useDocument<T>(store: DocumentStore, selector: (state: DocumentState) => T): T {
  return useStore(store, selector);
}

export function useTabDirty(tab: Tab): boolean {
  return useStore(tab.store, (state) => state.dirty) || tab.unsaved;
}
