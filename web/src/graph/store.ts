/** The store of one open workflow: its document, history, selection, and the graph that is shown. No React here. */
import { createStore, type StoreApi } from "zustand/vanilla";
import type { Definitions } from "./definitions";
import type { DocumentDraft } from "./drafts";
import { graphOf } from "./graphs";
import { EMPTY_HISTORY, type EditOptions, type History, closeStep, edit, isDirty, redo, undo, withSavedMark } from "./history";
import { refreshDefinitions } from "./load";
import { resolvePath } from "./scope";
import { settling } from "./settle";
import { type Document, type GraphRecord, type NodeId, ROOT, type Scope, type Selection, type View } from "./types";

export type SelectMode = "replace" | "add" | "remove" | "toggle";
export type SelectionInput = Partial<Record<keyof Selection, Iterable<string>>>;

export interface DocumentState {
  readonly document: Document;
  readonly definitions: Definitions;
  readonly history: History;
  readonly scope: Scope;
  readonly selection: Selection;
  /** The label of the step that undo would take back, or false. */
  readonly canUndo: string | false;
  readonly canRedo: string | false;
  readonly dirty: boolean;
  /** Goes up with every change of the document. */
  readonly revision: number;

  /** Change the document. Says whether anything changed. */
  readonly edit: (label: string, recipe: (draft: DocumentDraft) => void, options?: EditOptions) => boolean;
  /** Nothing joins the last step any more: a drag has ended. */
  readonly endCoalescing: () => void;
  readonly undo: () => void;
  readonly redo: () => void;
  readonly markSaved: () => void;
  /** Mark as differing from its file, as after a restored autosave. */
  readonly markDirty: () => void;
  /** Another document in place of this one, with an empty history. */
  readonly replaceDocument: (document: Document) => void;
  readonly setDefinitions: (definitions: Definitions) => void;
  /** Remember the view in the file; no step, and no unsaved mark. */
  readonly setView: (view: View) => void;
  readonly select: (items: SelectionInput, mode?: SelectMode) => void;
  readonly selectAll: () => void;
  readonly clearSelection: () => void;
  readonly enter: (instance: NodeId) => void;
  readonly leave: (levels?: number) => void;
  readonly goTo: (path: readonly NodeId[]) => void;
}

export type DocumentStore = StoreApi<DocumentState>;

const KINDS = ["nodes", "links", "groups", "reroutes"] as const;
export const NO_SELECTION: Selection = { nodes: new Set(), links: new Set(), groups: new Set(), reroutes: new Set() };
const TOP: Scope = { graphId: ROOT, path: [] };

export function createDocumentStore(initial: { document: Document; definitions: Definitions }): DocumentStore {
  return createStore<DocumentState>()((set, get) => {
    const moveTo = (scope: Scope): void => set({ scope, selection: NO_SELECTION });
    const travel = (direction: typeof undo): void => {
      const { document, history } = get();
      const result = direction(document, history);
      if (result !== null) set((state) => changed(state, result.document, result.history, result.step.scope));
    };
    return {
      document: initial.document,
      definitions: initial.definitions,
      history: EMPTY_HISTORY,
      scope: TOP,
      selection: NO_SELECTION,
      canUndo: false,
      canRedo: false,
      dirty: false,
      revision: 0,

      edit: (label, recipe, options) => {
        const { document, definitions, history, scope } = get();
        const follow = (before: Document, after: Document) => settling(before, after, definitions);
        const result = edit(document, history, recipe, { ...options, label, scope, now: Date.now(), settling: follow });
        if (result.document === document) return false;
        set((state) => changed(state, result.document, result.history, scope));
        return result.history !== history;
      },
      endCoalescing: () => set(({ history }) => ({ history: closeStep(history) })),
      undo: () => travel(undo),
      redo: () => travel(redo),
      markSaved: () => set(({ history }) => marks(withSavedMark(closeStep(history)))),
      markDirty: () => set(({ history }) => marks({ ...history, saved: null })),
      replaceDocument: (document) =>
        set(({ revision }) => ({ document, ...marks(EMPTY_HISTORY), scope: TOP, selection: NO_SELECTION, revision: revision + 1 })),
      setDefinitions: (definitions) =>
        set(({ document, revision }) => {
          const fresh = refreshDefinitions(document, definitions);
          return { definitions, document: fresh, revision: fresh === document ? revision : revision + 1 };
        }),
      setView: (view) => set(({ document }) => ({ document: { ...document, view } })),
      select: (items, mode = "replace") => set(({ selection }) => ({ selection: combined(selection, items, mode) })),
      selectAll: () => set((state) => ({ selection: everything(currentGraph(state)) })),
      clearSelection: () => set(({ selection }) => (isEmpty(selection) ? {} : { selection: NO_SELECTION })),
      enter: (instance) => {
        const { document, scope } = get();
        const found = resolvePath(document, [...scope.path, instance]);
        if (found !== null) moveTo(found);
      },
      leave: (levels = 1) => {
        const { document, scope } = get();
        if (scope.path.length === 0) return;
        moveTo(resolvePath(document, scope.path.slice(0, Math.max(0, scope.path.length - levels))) ?? TOP);
      },
      goTo: (path) => {
        const found = resolvePath(get().document, path);
        if (found !== null) moveTo(found);
      },
    };
  });
}

/** The graph that is shown. */
export function currentGraph(state: Pick<DocumentState, "document" | "scope">): GraphRecord {
  const graph = graphOf(state.document, state.scope.graphId) ?? state.document.graphs[ROOT];
  if (graph === undefined) throw new Error("A document has a root graph.");
  return graph;
}

function marks(history: History): Pick<DocumentState, "history" | "canUndo" | "canRedo" | "dirty"> {
  return {
    history,
    canUndo: history.done.at(-1)?.label ?? false,
    canRedo: history.undone.at(-1)?.label ?? false,
    dirty: isDirty(history),
  };
}

function changed(state: DocumentState, document: Document, history: History, wanted: Scope): Partial<DocumentState> {
  const scope = nearest(document, wanted);
  const stays = scope.graphId === state.scope.graphId && scope.path.join() === state.scope.path.join();
  const next = { document, scope: stays ? state.scope : scope };
  const selection = stays ? pruned(state.selection, currentGraph(next)) : NO_SELECTION;
  return { ...next, selection, ...marks(history), revision: state.revision + 1 };
}

/** The scope itself, or the nearest one around it that still exists. */
function nearest(document: Document, scope: Scope): Scope {
  for (let length = scope.path.length; length > 0; length -= 1) {
    const found = resolvePath(document, scope.path.slice(0, length));
    if (found !== null) return found;
  }
  return TOP;
}

function pruned(selection: Selection, graph: GraphRecord): Selection {
  const groups = new Set(graph.groups.map((group) => group.id));
  const exists: Record<keyof Selection, (id: string) => boolean> = {
    nodes: (id) => id in graph.nodes,
    links: (id) => id in graph.links,
    groups: (id) => groups.has(id),
    reroutes: (id) => id in graph.reroutes,
  };
  if (KINDS.every((kind) => [...selection[kind]].every(exists[kind]))) return selection;
  const kept = (kind: keyof Selection): Set<string> => new Set([...selection[kind]].filter(exists[kind]));
  return { nodes: kept("nodes"), links: kept("links"), groups: kept("groups"), reroutes: kept("reroutes") };
}

function combined(before: Selection, items: SelectionInput, mode: SelectMode): Selection {
  const next = (kind: keyof Selection): ReadonlySet<string> => {
    const given = new Set(items[kind] ?? []);
    const held = before[kind];
    if (mode === "replace") return sameSet(given, held) ? held : given;
    if (given.size === 0) return held;
    const added = mode === "remove" ? [] : [...given].filter((id) => !held.has(id));
    return new Set([...[...held].filter((id) => mode === "add" || !given.has(id)), ...added]);
  };
  const selection = { nodes: next("nodes"), links: next("links"), groups: next("groups"), reroutes: next("reroutes") };
  return KINDS.every((kind) => selection[kind] === before[kind]) ? before : selection;
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}

function everything(graph: GraphRecord): Selection {
  return {
    nodes: new Set(Object.keys(graph.nodes)),
    links: new Set(),
    groups: new Set(graph.groups.map((group) => group.id)),
    reroutes: new Set(Object.keys(graph.reroutes)),
  };
}

function isEmpty(selection: Selection): boolean {
  return KINDS.every((kind) => selection[kind].size === 0);
}
