import { activeCanvas } from "@/canvas/handle";
import { isMissing } from "@/graph/definitions";
import type { NodeId } from "@/graph/types";
import { useMissing } from "@/workflows/missing";
import { activeStore } from "@/workflows/workspace";
import { refreshFromServer } from "../refresh";
import { Button, Dialog } from "../ui";

/** The missing nodes of the graph in view, by type. */
function missingHere(): Map<string, NodeId[]> {
  const found = new Map<string, NodeId[]>();
  const state = activeStore()?.getState();
  if (!state) return found;
  for (const node of Object.values(state.document.graphs[state.scope.graphId]?.nodes ?? {})) {
    if (isMissing(state.document, state.definitions, node)) found.set(node.type, [...(found.get(node.type) ?? []), node.id]);
  }
  return found;
}

/** Which node types no pack here has, and where they are. */
export function MissingReport() {
  const { name, types } = useMissing();
  const here = missingHere();
  const close = () => useMissing.setState({ open: false });
  const show = (ids: readonly NodeId[]) => {
    close();
    activeStore()?.getState().select({ nodes: ids });
    const [first] = ids;
    if (first !== undefined) activeCanvas()?.fitView(true);
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && close()}
      title="Missing node types"
      description={`“${name}” uses nodes that no installed pack has. They are kept with all their links and values, and saved as they were. Runs that need them are refused with the reason.`}
      footer={
        <>
          <Button icon="refresh" onClick={() => void refreshFromServer()}>
            Look again
          </Button>
          <Button variant="primary" onClick={close}>
            Close
          </Button>
        </>
      }
    >
      <ul className="sl-missing">
        {types.map((type) => (
          <li key={type}>
            <code>{type}</code>
            <span className="sl-tree__meta">{here.has(type) ? `${here.get(type)?.length ?? 0}×` : "in a subgraph"}</span>
            {here.has(type) && (
              <Button size="sm" variant="ghost" onClick={() => show(here.get(type) ?? [])}>
                Show
              </Button>
            )}
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
