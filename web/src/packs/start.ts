/** Packs in the page: their modules, their report, and reading them anew. */
import { listPacks, reloadPacks } from "@/api/calls";
import { ApiError } from "@/api/client";
import { openDialog } from "@/app/dialogs/dialogState";
import { confirmDialog } from "@/app/ui/ask";
import { dismissToast, toast } from "@/app/ui/toast";
import { runStore } from "@/run";
import { definitions, refreshDefinitions } from "@/workflows/definitions";
import { describeChanges } from "./changes";
import { takeStuck } from "./marks";
import { leaveOut, loadModules, packsAreOpen } from "./modules";
import { addProblem, setPacks, troubled, usePacks, type PackReport } from "./report";
import { usePackWidgets } from "./widgets";

/** Imports the modules of packs, and says which packs have problems. Call once, when the first workflow is there. */
export async function startPacks(): Promise<void> {
  const stuck = takeStuck();
  if (stuck !== null) {
    leaveOut(stuck);
    // Told though the pack may have had problems before: this one is another.
    sessionStorage.removeItem(TOLD);
    addProblem(stuck, "Its editor module stopped the page at the last visit, so it is left out. Mend it and press “Reload packs”, or load the page again to try it once more.");
  }
  try {
    // What is known already: widgets need not wait until the packs are imported on the server.
    const known = await listPacks({ wait: false });
    setPacks(known);
    await loadModules(known);
    usePackWidgets.setState({ ready: true });
    // As with all parts of the page: here before the server may go away.
    void import("@/nodes/widgets/PackWidget").catch(() => undefined);
    const packs = await refreshPacks();
    packsAreOpen();
    await loadModules(packs);
  } catch {
    // The server is away; the report is asked for again when somebody looks at it.
  } finally {
    usePackWidgets.setState({ ready: true });
    packsAreOpen();
  }
  tellOfTrouble();
  runStore.subscribe(({ connection }, before) => {
    // The server may have been started again, with other packs.
    if (connection === "connected" && connection !== before.connection) void refreshPacks().then(loadModules, () => undefined);
  });
}

/** Asks for the report, once all packs are imported. Throws ApiError. */
export async function refreshPacks(): Promise<readonly PackReport[]> {
  const packs = await listPacks();
  setPacks(packs);
  return packs;
}

const TOLD = "safelight.packTrouble";
const NOTICE = "packs";

/** A message about packs with problems, once for the same ones: the badge stays. */
function tellOfTrouble(): void {
  const packs = troubled(usePacks.getState());
  const key = packs.map(({ name }) => name).join("\n");
  if (sessionStorage.getItem(TOLD) === key || (key === "" && sessionStorage.getItem(TOLD) === null)) return;
  sessionStorage.setItem(TOLD, key);
  if (packs.length === 0) return;
  const names = packs.slice(0, 3).map(({ name }) => `“${name}”`).join(", ") + (packs.length > 3 ? "…" : "");
  toast({
    id: NOTICE,
    kind: "warning",
    title: packs.length === 1 ? "A node pack has problems" : `${packs.length} node packs have problems`,
    text: `${names}. Everything else works.`,
    actions: [{ label: "Show", run: () => openDialog("packs") }],
  });
}

/** Has the server read its packs anew. Gives what is different then; null if the person did not want it. Throws ApiError. */
export async function readPacksAnew(): Promise<string[] | null> {
  const before = { packs: usePacks.getState().packs ?? (await listPacks()), definitions: definitions() };
  if (!(await reloaded())) return null;
  dismissToast(NOTICE);
  await refreshDefinitions();
  const packs = await refreshPacks();
  await loadModules(packs);
  return describeChanges(before, { packs, definitions: definitions() });
}

async function reloaded(): Promise<boolean> {
  try {
    await reloadPacks(false);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
    const text = "Reading the packs anew starts the worker again. Jobs that run are then run again; what they have stored is reused.";
    if (!(await confirmDialog({ title: "Jobs are running", text, confirm: "Read anew" }))) return false;
    await reloadPacks(true);
    return true;
  }
}
