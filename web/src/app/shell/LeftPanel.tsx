import { lazy, Suspense, type ReactNode } from "react";
import { ErrorBoundary } from "../ErrorBoundary";
import { parts } from "../parts";
import { IconButton, Spinner } from "../ui";
import { Resizer } from "./Resizer";
import { useShell, type LeftPanel as PanelName } from "./shellState";

const NodeLibrary = lazy(parts.nodes);
const ModelLibrary = lazy(parts.models);
const WorkflowsPanel = lazy(parts.workflows);
const TemplatesPanel = lazy(parts.templates);
const QueuePanel = lazy(parts.queue);
const GalleryPanel = lazy(parts.gallery);

const TITLES: Record<PanelName, string> = { nodes: "Nodes", models: "Models", workflows: "Workflows", templates: "Templates", queue: "Queue", gallery: "Gallery" };

function contents(panel: PanelName): ReactNode {
  switch (panel) {
    case "nodes":
      return <NodeLibrary />;
    case "models":
      return <ModelLibrary />;
    case "workflows":
      return <WorkflowsPanel />;
    case "templates":
      return <TemplatesPanel />;
    case "queue":
      return <QueuePanel />;
    case "gallery":
      return <GalleryPanel />;
  }
}

export function LeftPanel() {
  const panel = useShell((state) => state.left);
  const width = useShell((state) => state.leftWidth);
  if (panel === null) return null;
  return (
    <aside className="sl-panel sl-panel--left" style={{ width }} aria-label={TITLES[panel]}>
      <header className="sl-panel__head">
        <h2>{TITLES[panel]}</h2>
        <IconButton icon="close" label={`Close ${TITLES[panel].toLowerCase()}`} size="sm" onClick={() => useShell.setState({ left: null })} />
      </header>
      <div className="sl-panel__body">
        <ErrorBoundary key={panel} what={`The panel “${TITLES[panel]}”`}>
          <Suspense fallback={<div className="sl-panel__wait"><Spinner label="Loading" /></div>}>{contents(panel)}</Suspense>
        </ErrorBoundary>
      </div>
      <Resizer label="Width of the panel" side="right" size={width} min={220} max={560} onResize={(leftWidth) => useShell.setState({ leftWidth })} />
    </aside>
  );
}
