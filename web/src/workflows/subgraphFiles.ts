/** Subgraphs in the user's folder, so that other workflows can use them. */
import { copyFragment, fragmentFromText, fragmentToText } from "@/graph/clipboard";
import { paste } from "@/graph/edits";
import { renameSubgraph } from "@/graph/subgraphs";
import type { Point } from "@/graph/types";
import { askText } from "@/app/ui/ask";
import { toast } from "@/app/ui/toast";
import { nameProblem } from "./names";
import { filesIn } from "./userFolder";
import { readUserJson, saveUserJson } from "./saving";
import { activeStore } from "./workspace";

const FOLDER = "subgraphs";

interface StoredSubgraph {
  safelight: "subgraph";
  name: string;
  fragment: string;
}

/** Saves the selected subgraph (or the one that is open) under a name. */
export async function publishSelected(): Promise<void> {
  const found = instanceToPublish();
  if (!found) return;
  const name = await askText({ title: "Save subgraph to your library", label: "Name", value: found.name, confirm: "Save", check: nameProblem });
  if (name === null) return;
  const stored: StoredSubgraph = { safelight: "subgraph", name, fragment: found.text };
  try {
    if (await saveUserJson(`${FOLDER}/${name}.json`, stored)) toast({ kind: "success", title: `“${name}” is in your library`, text: "Find it in the node library and in the node search, under “Your subgraphs”." });
    await refreshSubgraphs();
  } catch (error) {
    toast({ kind: "danger", title: "The subgraph was not saved", text: error instanceof Error ? error.message : String(error) });
  }
}

function instanceToPublish(): { name: string; text: string } | null {
  const state = activeStore()?.getState();
  if (!state) return null;
  const { document, scope, selection } = state;
  const here = document.graphs[scope.graphId];
  const selected = [...selection.nodes].find((id) => (here?.nodes[id]?.type ?? "") in document.graphs);
  if (selected !== undefined) return describe(document, scope.graphId, selected);
  const instance = scope.path.at(-1);
  const parent = Object.values(document.graphs).find((graph) => instance !== undefined && graph.nodes[instance]?.type === scope.graphId);
  return instance !== undefined && parent ? describe(document, parent.id, instance) : null;
}

function describe(document: Parameters<typeof copyFragment>[0], graphId: string, id: string): { name: string; text: string } | null {
  const node = document.graphs[graphId]?.nodes[id];
  if (!node) return null;
  const name = document.graphs[node.type]?.subgraph?.name ?? node.title ?? "Subgraph";
  return { name, text: fragmentToText(copyFragment(document, graphId, { nodes: [id], groups: [], reroutes: [] })) };
}

let names: readonly string[] = [];

/** Names of the subgraphs in the user's folder, as last read. */
export function subgraphNames(): readonly string[] {
  return names;
}

export async function refreshSubgraphs(): Promise<readonly string[]> {
  try {
    const files = await filesIn<string>(FOLDER, "");
    names = files.filter((path) => path.endsWith(".json")).map((path) => path.slice(0, -5));
  } catch {
    // The names that were read before still serve.
  }
  return names;
}

/** Puts a subgraph of the library into the document in view. */
export async function addStoredSubgraph(name: string, at: Point): Promise<void> {
  const store = activeStore();
  if (!store) return;
  try {
    const stored = await readUserJson<Partial<StoredSubgraph>>(`${FOLDER}/${name}.json`);
    const fragment = stored.fragment === undefined ? null : fragmentFromText(stored.fragment);
    if (!fragment) throw new Error("The file is no subgraph of this editor.");
    const state = store.getState();
    let added: readonly string[] = [];
    state.edit(`Add ${name}`, (draft) => {
      const known = new Set(Object.keys(draft.graphs));
      added = paste(draft, state.scope.graphId, fragment, { at }).nodes;
      for (const id of added) {
        const type = draft.graphs[state.scope.graphId]?.nodes[id]?.type;
        // In the library it has the name that the person gave it.
        if (type !== undefined && type in draft.graphs && !known.has(type)) renameSubgraph(draft, type, name.split("/").at(-1) ?? name);
      }
    });
    state.select({ nodes: added });
  } catch (error) {
    toast({ kind: "danger", title: `“${name}” was not added`, text: error instanceof Error ? error.message : String(error) });
  }
}
