import { lazy, Suspense } from "react";
import { ErrorBoundary } from "../ErrorBoundary";
import { parts } from "../parts";
import { ShortcutSheet } from "../dialogs/ShortcutSheet";
import { IconButton, Spinner, Tabs } from "../ui";
import { Resizer } from "./Resizer";
import { useShell } from "./shellState";

const LogPanel = lazy(parts.logs);

export function BottomPanel() {
  const open = useShell((state) => state.bottom);
  const height = useShell((state) => state.bottomHeight);
  if (open === null) return null;
  return (
    <section className="sl-panel sl-panel--bottom" style={{ height }} aria-label="Bottom panel">
      <Resizer label="Height of the panel" side="top" size={height} min={120} max={520} onResize={(bottomHeight) => useShell.setState({ bottomHeight })} />
      <Tabs
        label="Bottom panel"
        value={open}
        onChange={(bottom) => useShell.setState({ bottom })}
        tabs={[
          { value: "logs", label: "Server log", icon: "terminal" },
          { value: "shortcuts", label: "Shortcuts", icon: "keyboard" },
        ]}
        extra={<IconButton icon="close" label="Close the panel" size="sm" onClick={() => useShell.setState({ bottom: null })} />}
      >
        <ErrorBoundary key={open} what="The panel">
          <Suspense fallback={<Spinner label="Loading" />}>{open === "logs" ? <LogPanel /> : <ShortcutSheet />}</Suspense>
        </ErrorBoundary>
      </Tabs>
    </section>
  );
}
