import { lazy, Suspense } from "react";
import { useActiveTab } from "@/workflows/workspace";
import { ErrorBoundary } from "../ErrorBoundary";
import { parts } from "../parts";
import { IconButton, Spinner } from "../ui";
import { Resizer } from "./Resizer";
import { useShell } from "./shellState";

const Inspector = lazy(parts.inspector);

export function RightPanel() {
  const open = useShell((state) => state.right);
  const width = useShell((state) => state.rightWidth);
  const tab = useActiveTab();
  if (!open || !tab) return null;
  return (
    <aside className="sl-panel sl-panel--right" style={{ width }} aria-label="Inspector">
      <header className="sl-panel__head">
        <h2>Inspector</h2>
        <IconButton icon="close" label="Close the inspector" size="sm" onClick={() => useShell.setState({ right: false })} />
      </header>
      <div className="sl-panel__body">
        <ErrorBoundary what="The inspector">
          <Suspense fallback={<div className="sl-panel__wait"><Spinner label="Loading" /></div>}>
            <Inspector tab={tab} />
          </Suspense>
        </ErrorBoundary>
      </div>
      <Resizer label="Width of the inspector" side="left" size={width} min={240} max={560} onResize={(rightWidth) => useShell.setState({ rightWidth })} />
    </aside>
  );
}
