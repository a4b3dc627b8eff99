/** Messages about runs that the person cannot see: those of other tabs, and what the server says on its own. */
import { onNotice, onPrompt, runStore } from "@/run";
import { activate, activeTabId, tabById } from "@/workflows/workspace";
import { getSetting } from "./settings/settings";
import { openErrorReport } from "@/panels/overlays";
import { toast } from "./ui/toast";

type Status = ReturnType<typeof runStore.getState>["tabs"][string]["status"];

function ended(tab: string, status: Status, jobId: string | null): void {
  const name = tabById(tab)?.name;
  if (name === undefined || tab === activeTabId() || !getSetting("run.notify")) return;
  const show = { label: "Show", run: () => activate(tab) };
  if (status === "done") toast({ id: `run-${tab}`, kind: "success", title: `“${name}” is done`, actions: [show] });
  else if (status === "failed") toast({ id: `run-${tab}`, kind: "danger", title: `“${name}” failed`, actions: [show, { label: "Report", run: () => openErrorReport(jobId ?? undefined) }] });
}

export function startRunMessages(): () => void {
  onPrompt((tab, prompt) => void import("./ranTexts").then(({ tellRanTexts }) => tellRanTexts(tab, prompt)));
  const stopNotices = onNotice((text) => toast({ kind: "info", title: "From the server", text }));
  const stopRuns = runStore.subscribe(({ tabs }, before) => {
    if (tabs === before.tabs) return;
    for (const [tab, run] of Object.entries(tabs)) {
      const was = before.tabs[tab]?.status;
      if (was === "running" && run.status !== was) ended(tab, run.status, run.jobId);
    }
  });
  return () => {
    stopNotices();
    stopRuns();
  };
}
