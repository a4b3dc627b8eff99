import { troubled, usePacks } from "@/packs/report";
import { useQueueCount } from "@/run";
import { runCommand, useCommandKeys } from "../commands/registry";
import { IconButton, type IconName } from "../ui";
import { togglePanel, useShell, type LeftPanel } from "./shellState";

const PANELS: readonly { panel: LeftPanel; label: string; icon: IconName }[] = [
  { panel: "nodes", label: "Node library", icon: "boxes" },
  { panel: "models", label: "Model library", icon: "package" },
  { panel: "workflows", label: "Workflows", icon: "folder" },
  { panel: "templates", label: "Templates", icon: "templates" },
  { panel: "queue", label: "Queue", icon: "queue" },
  { panel: "gallery", label: "Gallery", icon: "images" },
];

/** The column of panel buttons at the left. */
export function Rail() {
  return (
    <nav className="sl-rail" aria-label="Panels">
      {PANELS.map((entry) => (
        <RailButton key={entry.panel} {...entry} />
      ))}
      <span className="sl-spacer" />
      <span className="sl-rail__slot">
        <CommandButton command="app.packs" label="Node packs" icon="puzzle" />
        <TroubleCount />
      </span>
      <CommandButton command="app.shortcuts" label="Keyboard shortcuts" icon="keyboard" />
      <CommandButton command="app.settings" label="Settings" icon="settings" />
    </nav>
  );
}

function RailButton({ panel, label, icon }: { panel: LeftPanel; label: string; icon: IconName }) {
  const open = useShell((state) => state.left === panel);
  const keys = useCommandKeys(`panel.${panel}`);
  return (
    <span className="sl-rail__slot">
      <IconButton icon={icon} label={label} size="lg" active={open} keys={keys} tooltipSide="right" onClick={() => togglePanel(panel)} />
      {panel === "queue" && <QueueCount />}
    </span>
  );
}

function QueueCount() {
  const { pending, running } = useQueueCount();
  if (pending + running === 0) return null;
  return <span className="sl-rail__count" aria-label={`${pending + running} in the queue`}>{pending + running}</span>;
}

function TroubleCount() {
  const count = usePacks((state) => troubled(state).length);
  if (count === 0) return null;
  return <span className="sl-rail__count is-danger" role="img" aria-label={`${count} ${count === 1 ? "pack has" : "packs have"} problems`}>{count}</span>;
}

function CommandButton({ command, label, icon }: { command: string; label: string; icon: IconName }) {
  const keys = useCommandKeys(command);
  return <IconButton icon={icon} label={label} size="lg" keys={keys} tooltipSide="right" onClick={() => runCommand(command)} />;
}
