import { runCommand, useCommandKeys } from "../commands/registry";
import { IconButton, Segmented } from "../ui";
import { MainMenu } from "./MainMenu";
import { RunControls } from "./RunControls";
import { WorkflowTabs } from "./WorkflowTabs";
import { setView, toggleInspector, useShell } from "./shellState";

export function TopBar() {
  const view = useShell((state) => state.view);
  const right = useShell((state) => state.right);
  const focusMode = useShell((state) => state.focusMode);
  const inspectorKeys = useCommandKeys("panel.inspector");
  const paletteKeys = useCommandKeys("app.palette");
  const focusKeys = useCommandKeys("view.focusMode");
  return (
    <header className="sl-bar">
      <MainMenu />
      <WorkflowTabs />
      <div className="sl-bar__tools">
        <IconButton icon="search" label="Search commands and nodes" keys={paletteKeys} onClick={() => runCommand("app.palette")} />
        <Segmented
          label="View"
          compact
          value={view}
          onChange={setView}
          options={[
            { value: "graph", label: "Graph", icon: "workflow" },
            { value: "form", label: "Form", icon: "form" },
          ]}
        />
        {focusMode && <IconButton icon="exitFullscreen" label="Leave focus mode" keys={focusKeys} onClick={() => runCommand("view.focusMode")} />}
        <IconButton icon="panelRight" label="Inspector" keys={inspectorKeys} active={right && !focusMode} onClick={toggleInspector} />
        <span className="sl-bar__divider" />
        <RunControls />
      </div>
    </header>
  );
}
