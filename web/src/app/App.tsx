import { lazy, Suspense, useEffect, useState } from "react";
import "@/theme/index.css";
import "./ui/ui.css";
import "./shell/shell.css";
import "./app.css";
import { useTitleProgress } from "@/run";
import { applyTheme } from "@/theme/theme";
import { useActiveTab, useTabDirty, type Tab } from "@/workflows/workspace";
import { useDialogs } from "./dialogs/dialogState";
import { useNodeSearch } from "./search/searchState";
import { usePalette } from "./palette/paletteState";
import { useMissing } from "@/workflows/missing";
import { getSetting } from "./settings/settings";
import { Shell } from "./shell/Shell";
import { start } from "./start";
import { afterPaint } from "./afterPaint";
import { useStarted } from "./started";
import { TooltipProvider } from "./ui";
import { MenuHost } from "./ui/MenuAt";
import { useQuestions } from "./ui/ask";
import { useToasts } from "./ui/toast";
import { parts } from "./parts";

const NodeSearch = lazy(parts.search);
const Palette = lazy(parts.palette);
const Dialogs = lazy(parts.dialogs);
const RunOverlays = lazy(() => afterPaint().then(parts.overlays));
const MissingReport = lazy(parts.missing);
const Questions = lazy(parts.questions);
const Toasts = lazy(parts.toasts);

// Before the first paint, so that a light page does not begin dark.
applyTheme(getSetting("theme"));

export function App() {
  useEffect(() => {
    start();
  }, []);
  return (
    <TooltipProvider>
      <Shell />
      <Title />
      <Suspense fallback={null}>
        <OnDemand />
      </Suspense>
      <Suspense fallback={null}>
        <Overlays />
      </Suspense>
      <Suspense fallback={null}>
        <Messages />
      </Suspense>
      <MenuHost />
    </TooltipProvider>
  );
}

/** Parts that are fetched when they are first needed. */
function OnDemand() {
  const searching = useNodeSearch((state) => state.request !== null);
  const palette = usePalette((state) => state.open);
  const dialog = useDialogs((state) => state.open !== null);
  const missing = useMissing((state) => state.open);
  return (
    <>
      {searching && <NodeSearch />}
      {palette && <Palette />}
      {dialog && <Dialogs />}
      {missing && <MissingReport />}
    </>
  );
}

/** Full-screen view, comparison and reports: there is nothing to show in them before the first workflow is. */
function Overlays() {
  const started = useStarted((state) => state.started);
  return started ? <RunOverlays /> : null;
}

/** Questions and messages. Once shown, the place for messages stays, as screen readers watch it. */
function Messages() {
  const asking = useQuestions((state) => state.questions.length > 0);
  const told = useToasts((state) => state.toasts.length > 0);
  const [used, setUsed] = useState(false);
  if (told && !used) setUsed(true);
  return (
    <>
      {asking && <Questions />}
      {(told || used) && <Toasts />}
    </>
  );
}

function Title() {
  const tab = useActiveTab();
  return tab ? <TabTitle tab={tab} /> : null;
}

function TabTitle({ tab }: { tab: Tab }) {
  const dirty = useTabDirty(tab);
  useTitleProgress(`${dirty ? "• " : ""}${tab.name} – Safelight`);
  return null;
}
