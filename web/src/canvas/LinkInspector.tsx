import { lazy, Suspense, useEffect } from "react";
import { disconnect } from "@/graph/edits";
import type { LinkId } from "@/graph/types";
import { linkSource } from "@/run";
import { useCanvas, useDocument, useUi } from "./context";

const WirePopover = lazy(() => import("@/panels/WirePopover").then((module) => ({ default: module.WirePopover })));

/** Shows what runs over the link that is pointed at or clicked. */
export function LinkInspector() {
  const shown = useUi((ui) => ui.inspect);
  const { ui } = useCanvas();
  const source = useDocument((state) => (shown ? sourceKey(state.document, state.scope, shown.link) : null));
  useDeleteKey(shown?.pinned ? shown.link : null);
  if (shown === null) return null;
  const [node, slot] = source === null ? [null, 0] : splitKey(source);
  return (
    <Suspense>
      <WirePopover
        source={node === null ? null : { node, slot }}
        anchor={shown.client}
        pinned={shown.pinned}
        onClose={() => ui.setState({ inspect: null })}
      />
    </Suspense>
  );
}

/** The clicked link can be deleted though the keyboard is with its value. */
function useDeleteKey(link: LinkId | null): void {
  const { store, ui, scene } = useCanvas();
  useEffect(() => {
    if (link === null) return undefined;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      event.stopPropagation();
      store.getState().edit("Delete link", (draft) => disconnect(draft, scene.get().graphId, link));
      ui.setState({ inspect: null, hoverLink: null });
    };
    window.addEventListener("keydown", onKey, true);
    return () => window.removeEventListener("keydown", onKey, true);
  }, [link, store, ui, scene]);
}

/** A text, so that nothing is drawn again while other parts of the document change. */
function sourceKey(...args: Parameters<typeof linkSource>): string | null {
  const found = linkSource(...args);
  return found && `${found.node}|${found.slot}`;
}

function splitKey(key: string): [node: string, slot: number] {
  const at = key.lastIndexOf("|");
  return [key.slice(0, at), Number(key.slice(at + 1))];
}
