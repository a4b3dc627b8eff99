import { activeCanvas } from "@/canvas/handle";
import { isMissing } from "@/graph/definitions";
import type { NodeRecord } from "@/graph/types";
import { useMissing } from "@/workflows/missing";
import { activeStore } from "@/workflows/workspace";
import { packOfMissing, usePacks, whyMissing } from "@/packs/report";
import { refreshFromServer } from "../refresh";
import { Button, Dialog } from "../ui";
import { openDialog } from "./dialogState";
import "./packs.css";

/** The missing nodes of the graph in view, by type. */
function missingHere(): Map<string, NodeRecord[]> {
  const found = new Map<string, NodeRecord[]>();
  const state = activeStore()?.getState();
  if (!state) return found;
  for (const node of Object.values(state.document.graphs[state.scope.graphId]?.nodes ?? {})) {
    if (isMissing(state.document, state.definitions, node)) found.set(node.type, [...(found.get(node.type) ?? []), node]);
  }
  return found;
}

/** Which node types no pack here has, and where they are. */
export function MissingReport() {
  const { name, types } = useMissing();
  const here = missingHere();
  const close = () => useMissing.setState({ open: false });
  const packs = usePacks();
  const why = (type: string) => whyMissing(packOfMissing(type, here.get(type)?.[0]?.properties ?? {}, packs));
  const explained = types.some((type) => why(type) !== null);
  const show = (nodes: readonly NodeRecord[]) => {
    close();
    activeStore()?.getState().select({ nodes: nodes.map(({ id }) => id) });
    if (nodes.length > 0) activeCanvas()?.fitView(true);
  };
  const showPacks = () => {
    close();
    openDialog("packs");
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && close()}
      title="Missing node types"
      description={`“${name}” uses nodes that no installed pack has. They are kept with all their links and values, and saved as they were. Runs that need them are refused with the reason.`}
      footer={
        <>
          {explained && (
            <Button icon="puzzle" onClick={showPacks}>
              Node packs
            </Button>
          )}
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
            {why(type) !== null && <span className="sl-missing__why">{why(type)}</span>}
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
