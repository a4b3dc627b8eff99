/** Everything that begins once with the page. */
import { closeTab as forgetRun, connectSocket, restoreRun, setActiveTab } from "@/run";
import { usePackWidgets } from "@/packs/widgets";
import { applyTheme } from "@/theme/theme";
import { guardUnload, restoreTabs, startAutosave } from "@/workflows/autosave";
import { refreshDefinitions } from "@/workflows/definitions";
import { newWorkflow, openDefaultWorkflow } from "@/workflows/opening";
import { useUserFiles } from "@/workflows/userFiles";
import { useWorkspace } from "@/workflows/workspace";
import { afterPaint } from "./afterPaint";
import { registerAllCommands } from "./commands";
import { startKeys } from "./commands/keyListener";
import { setBindings } from "./commands/registry";
import { startDrops } from "./drops";
import { loadLater } from "./parts";
import { startRunControl } from "./runControl";
import { startRunMessages } from "./runMessages";
import { startScripting } from "./scripting";
import { loadSettings, onSetting } from "./settings/settings";
import { useStarted } from "./started";

let begun = false;

/** Starts the editor; a second call (React's strict mode) does nothing. */
export function start(): void {
  if (begun) return;
  begun = true;
  applySettings();
  registerAllCommands();
  startKeys();
  startDrops();
  startRunControl();
  startRunMessages();
  startScripting();
  guardUnload();
  connectSocket();
  followTabs();
  void open();
}

function applySettings(): void {
  onSetting("theme", applyTheme);
  onSetting("motion", (motion) => {
    document.documentElement.dataset.motion = motion;
  });
  onSetting("keys", setBindings);
  const systemTheme = () => onSetting("theme", applyTheme)();
  for (const query of ["(prefers-color-scheme: light)", "(prefers-contrast: more)"]) window.matchMedia(query).addEventListener("change", systemTheme);
}

/** The run state knows which workflow is in view, and forgets closed ones. */
function followTabs(): void {
  useWorkspace.subscribe(({ tabs, activeId }, before) => {
    if (activeId !== before.activeId && activeId !== "") setActiveTab(activeId);
    for (const tab of before.tabs) if (!tabs.some((other) => other.id === tab.id)) forgetRun(tab.id);
    for (const tab of tabs) if (!before.tabs.some((other) => other.id === tab.id)) void restoreRun(tab.id, tab.store);
    // There is always a workflow to work on.
    if (tabs.length === 0 && before.tabs.length > 0) newWorkflow();
  });
}

async function open(): Promise<void> {
  // What was open is read with the node definitions: they say what the widget values mean.
  await Promise.all([refreshDefinitions(), loadSettings().catch(() => undefined)]);
  const restored = await restoreTabs();
  if (!restored && (await openDefaultWorkflow()) === null) newWorkflow();
  startAutosave();
  useStarted.setState({ started: true });
  void afterPaint()
    .then(() => import("@/packs/start"))
    .then(({ startPacks }) => startPacks())
    .catch(() => usePackWidgets.setState({ ready: true }));
  loadLater();
  void useUserFiles.getState().refresh();
}
