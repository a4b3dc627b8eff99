import { lazy, Suspense } from "react";
import { Canvas } from "@/canvas";
import { openAll } from "@/workflows/chooseFiles";
import { publishSelected } from "@/workflows/subgraphFiles";
import { useActiveTab, type Tab } from "@/workflows/workspace";
import { ErrorBoundary } from "../ErrorBoundary";
import { useFileDrag } from "../drops";
import { parts } from "../parts";
import { runActive } from "../runControl";
import { openNodeSearch } from "../search/searchState";
import { useStarted } from "../started";
import { EmptyState, Icon, Spinner } from "../ui";
import { ConnectionBanner } from "./ConnectionBanner";
import { LeftPanel } from "./LeftPanel";
import { Rail } from "./Rail";
import { RightPanel } from "./RightPanel";
import { TopBar } from "./TopBar";
import { Welcome } from "./Welcome";
import { openInspector, useShell } from "./shellState";

const BottomPanel = lazy(parts.bottom);
const FormView = lazy(parts.form);

/** The layout: bar, rail, panels and the canvas in the middle. */
export function Shell() {
  const focusMode = useShell((state) => state.focusMode);
  const bottom = useShell((state) => state.bottom !== null);
  const tab = useActiveTab();
  const started = useStarted((state) => state.started);
  return (
    <div className="sl-app" data-focus={focusMode || undefined}>
      <TopBar />
      <ConnectionBanner />
      <div className="sl-main">
        {!focusMode && <Rail />}
        {!focusMode && <LeftPanel />}
        <div className="sl-middle">
          <main className="sl-work" aria-label={tab ? `Workflow ${tab.name}` : "Workflow"}>
            {started && tab ? <Work tab={tab} /> : <EmptyState icon="workflow" title="Starting…" action={<Spinner label="Starting" />} />}
            <Welcome />
            <DropHint />
          </main>
          {!focusMode && bottom && (
            <Suspense fallback={null}>
              <BottomPanel />
            </Suspense>
          )}
        </div>
        {!focusMode && <RightPanel />}
      </div>
    </div>
  );
}

function Work({ tab }: { tab: Tab }) {
  const view = useShell((state) => state.view);
  if (view === "form")
    return (
      <ErrorBoundary key={`form-${tab.id}`} what="The form">
        <Suspense fallback={<Spinner label="Loading the form" />}>
          <FormView store={tab.store} tab={tab.id} />
        </Suspense>
      </ErrorBoundary>
    );
  return (
    <ErrorBoundary key={tab.id} what="The canvas">
      <Canvas
        store={tab.store}
        tab={tab.id}
        onOpenSearch={openNodeSearch}
        onShowInfo={openInspector}
        onRunNodes={(targets) => void runActive({ targets })}
        onDropFiles={(files) => void openAll(files)}
        onSaveSubgraph={() => void publishSelected()}
        onRefuse={(refusal) => void import("../bridging").then(({ offerBridge }) => offerBridge(refusal))}
      />
    </ErrorBoundary>
  );
}

function DropHint() {
  const over = useFileDrag((state) => state.over);
  if (!over) return null;
  return (
    <div className="sl-drop-hint">
      <div>
        <Icon name="importFile" size={28} />
        <p>Drop a workflow, or a picture or video that carries one</p>
      </div>
    </div>
  );
}
