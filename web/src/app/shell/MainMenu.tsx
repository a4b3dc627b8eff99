import { openPath } from "@/workflows/opening";
import { getSetting } from "../settings/settings";
import { Icon, Menu, type MenuItem } from "../ui";

function recentItems(): MenuItem[] {
  const recent = getSetting("recent");
  if (recent.length === 0) return [];
  return [{ label: "Open recent", icon: "history", items: recent.map((path): MenuItem => ({ label: path.replace(/\.json$/, ""), icon: "file", onSelect: () => void openPath(path) })) }];
}

function items(): MenuItem[] {
  const commands = (...ids: string[]): MenuItem[] => ids.map((id) => (id === "-" ? "separator" : { command: id }));
  return [
    ...commands("workflow.new", "workflow.open"),
    ...recentItems(),
    ...commands("workflow.templates", "-", "workflow.save", "workflow.saveAs", "-"),
    { label: "Workflow", icon: "workflow", items: commands("workflow.rename", "workflow.duplicate", "workflow.revert", "app.parameters", "app.call", "-", "workflow.export", "workflow.exportPrompt", "-", "workflow.close") },
    { label: "Edit", icon: "pencil", items: commands("edit.undo", "edit.redo", "-", "edit.cut", "edit.copy", "edit.paste", "edit.pasteWithLinks", "edit.duplicate", "edit.delete", "-", "edit.selectAll", "edit.addNode", "-", "edit.clear") },
    {
      label: "Arrange",
      icon: "ruler",
      items: commands("node.align.left", "node.align.centerX", "node.align.right", "node.align.top", "node.align.centerY", "node.align.bottom", "-", "node.distribute.horizontal", "node.distribute.vertical", "-", "node.snap", "node.arrange", "node.group", "node.fitGroups"),
    },
    { label: "Subgraph", icon: "box", items: commands("subgraph.create", "subgraph.enter", "subgraph.leave", "subgraph.unpack", "-", "subgraph.publish") },
    { label: "View", icon: "eye", items: commands("view.form", "view.focusMode", "-", "canvas.fit", "canvas.fitAll", "canvas.zoomIn", "canvas.zoomOut", "canvas.resetView", "-", "canvas.toggleMinimap", "canvas.toggleLinks", "canvas.toggleSnap", "canvas.lock", "canvas.unlock", "-", "view.theme", "view.contrast", "-", "panel.logs") },
    { label: "Run", icon: "play", items: commands("run.run", "run.front", "run.selected", "run.onChange", "-", "run.interrupt", "run.pause", "run.clear", "-", "app.errorReport", "run.unload") },
    "separator",
    ...commands("app.refresh", "app.packs", "app.palette", "app.shortcuts", "app.settings", "app.about"),
  ];
}

/** Everything the editor can do, by subject. */
export function MainMenu() {
  return (
    <Menu
      items={items}
      trigger={
        <button type="button" className="sl-brand" aria-label="Main menu">
          <Logo />
          <span className="sl-brand__name">Safelight</span>
          <Icon name="chevronDown" size={12} />
        </button>
      }
    />
  );
}

/** The lamp of a darkroom. */
function Logo() {
  return (
    <svg className="sl-brand__logo" viewBox="0 0 20 20" width="20" height="20" aria-hidden focusable="false">
      <path d="M10 1.5v3" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
      <path d="M4.2 11.5a5.8 5.8 0 0 1 11.6 0z" fill="var(--accent)" />
      <path d="M6.2 14.6h7.6M8 17.6h4" stroke="var(--accent)" strokeWidth="1.6" strokeLinecap="round" />
    </svg>
  );
}
