import { activeCanvas } from "@/canvas/handle";
import { currentTheme } from "@/theme/theme";
import { getSetting, setSetting } from "../settings/settings";
import { setView, toggleBottom, toggleInspector, togglePanel, useShell, type LeftPanel } from "../shell/shellState";
import type { Command } from "./registry";
import type { IconName } from "../ui/Icon";

const hasCanvas = () => activeCanvas() !== null;

function toggleTheme(): void {
  setSetting("theme", currentTheme() === "light" ? "dark" : "light");
}

const PANELS: readonly [LeftPanel, string, string, IconName][] = [
  ["nodes", "Node library", "N", "boxes"],
  ["models", "Model library", "M", "package"],
  ["workflows", "Workflows", "W", "folder"],
  ["templates", "Templates", "T", "templates"],
  ["queue", "Queue", "Q", "queue"],
  ["gallery", "Gallery", "A", "images"],
];

export const viewCommands: readonly Command[] = [
  { id: "canvas.fit", title: "Fit view to selection", group: "View", icon: "fit", keys: ["."], words: "zoom centre", when: hasCanvas, run: () => activeCanvas()?.fitView(true) },
  { id: "canvas.fitAll", title: "Fit all nodes in view", group: "View", keys: ["Shift+1"], when: hasCanvas, run: () => activeCanvas()?.fitView() },
  { id: "canvas.zoomIn", title: "Zoom in", group: "View", icon: "zoomIn", keys: ["Alt+=", "Alt+Plus"], repeats: true, when: hasCanvas, run: () => activeCanvas()?.zoomIn() },
  { id: "canvas.zoomOut", title: "Zoom out", group: "View", icon: "zoomOut", keys: ["Alt+-"], repeats: true, when: hasCanvas, run: () => activeCanvas()?.zoomOut() },
  { id: "canvas.resetView", title: "Zoom to 100 %", group: "View", keys: ["Shift+0"], words: "reset actual size", when: hasCanvas, run: () => activeCanvas()?.resetView() },
  { id: "canvas.lock", title: "Lock canvas", group: "View", icon: "lock", keys: ["H"], when: hasCanvas, run: () => activeCanvas()?.setLocked(true) },
  { id: "canvas.unlock", title: "Unlock canvas", group: "View", icon: "unlock", keys: ["V"], when: hasCanvas, run: () => activeCanvas()?.setLocked(false) },
  { id: "canvas.toggleMinimap", title: "Show or hide the minimap", group: "View", icon: "minimap", keys: ["Alt+M"], run: () => setSetting("canvas.minimap", !getSetting("canvas.minimap")) },
  { id: "canvas.toggleLinks", title: "Show or hide links", group: "View", icon: "spline", run: () => setSetting("links.visible", !getSetting("links.visible")) },
  { id: "canvas.toggleSnap", title: "Snap to grid on or off", group: "View", icon: "snap", run: () => setSetting("canvas.snap", !getSetting("canvas.snap")) },
  { id: "canvas.focus", title: "Move keyboard focus to the canvas", group: "View", keys: ["Alt+G"], when: hasCanvas, run: () => activeCanvas()?.focus() },
  { id: "view.form", title: "Switch between graph and form", group: "View", icon: "form", keys: ["Alt+F"], words: "app mode simple linear parameters", run: () => setView(useShell.getState().view === "form" ? "graph" : "form") },
  { id: "view.focusMode", title: "Focus mode", group: "View", icon: "fullscreen", keys: ["F"], words: "hide panels", run: () => useShell.setState(({ focusMode }) => ({ focusMode: !focusMode })) },
  { id: "view.theme", title: "Switch between dark and light", group: "View", icon: "sun", words: "theme colours", run: toggleTheme },
  { id: "view.contrast", title: "Use the high contrast theme", group: "View", run: () => setSetting("theme", "contrast") },
  { id: "panel.inspector", title: "Inspector", group: "Panels", icon: "panelRight", keys: ["I"], words: "properties node details docs", run: toggleInspector },
  ...PANELS.map(([panel, title, key, icon]): Command => ({ id: `panel.${panel}`, title, group: "Panels", icon, keys: [key], run: () => togglePanel(panel) })),
  { id: "panel.logs", title: "Server log", group: "Panels", icon: "terminal", keys: ["Mod+Backquote"], inFields: true, run: () => toggleBottom("logs") },
  { id: "panel.shortcuts", title: "Shortcuts panel", group: "Panels", icon: "keyboard", keys: ["Mod+Shift+K"], run: () => toggleBottom("shortcuts") },
];
