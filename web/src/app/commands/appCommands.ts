import { openErrorReport } from "@/panels/overlays";
import { openDialog } from "../dialogs/dialogState";
import { openPalette } from "../palette/paletteState";
import type { Command } from "./registry";

export const appCommands: readonly Command[] = [
  { id: "app.palette", title: "Command palette", group: "Application", icon: "search", keys: ["Mod+K", "Mod+Shift+P", "F1"], inFields: true, hidden: true, run: () => openPalette() },
  { id: "app.settings", title: "Settings", group: "Application", icon: "settings", keys: ["Mod+,"], inFields: true, words: "options preferences", run: () => openDialog("settings") },
  { id: "app.keys", title: "Edit key bindings", group: "Application", icon: "keyboard", words: "shortcuts hotkeys", run: () => openDialog("settings", "keys") },
  { id: "app.shortcuts", title: "Keyboard shortcuts", group: "Application", icon: "keyboard", keys: ["?"], words: "help keys", run: () => openDialog("shortcuts") },
  { id: "app.welcome", title: "Show the introduction", group: "Application", icon: "help", words: "onboarding tour help", run: () => openDialog("welcome") },
  { id: "app.about", title: "About Safelight", group: "Application", icon: "info", words: "version licences", run: () => openDialog("settings", "about") },
  { id: "app.packs", title: "Node packs", group: "Application", icon: "puzzle", words: "custom nodes extensions plugins report errors reload", run: () => openDialog("packs") },
  { id: "app.parameters", title: "Parameters of this workflow…", group: "Workflow", icon: "sliders", words: "expose form api", run: () => openDialog("parameters") },
  { id: "app.call", title: "Call this workflow…", group: "Workflow", icon: "terminal", words: "api http curl python command line program script", run: () => openDialog("call") },
  { id: "app.errorReport", title: "Error report of the last run", group: "Run", icon: "error", run: () => openErrorReport() },
];
