/** Parts of the page that are not in what loads first. */
import { loadMenus } from "@/canvas/openMenu";
import { reader } from "@/workflows/opening";

export const parts = {
  search: () => import("./search/NodeSearch").then((module) => ({ default: module.NodeSearch })),
  palette: () => import("./palette/Palette").then((module) => ({ default: module.Palette })),
  dialogs: () => import("./dialogs/Dialogs").then((module) => ({ default: module.Dialogs })),
  missing: () => import("./dialogs/MissingReport").then((module) => ({ default: module.MissingReport })),
  overlays: () => import("@/panels/RunOverlays").then((module) => ({ default: module.RunOverlays })),
  questions: () => import("./ui/Questions").then((module) => ({ default: module.Questions })),
  toasts: () => import("./ui/Toasts").then((module) => ({ default: module.Toasts })),
  bottom: () => import("./shell/BottomPanel").then((module) => ({ default: module.BottomPanel })),
  nodes: () => import("./library/NodeLibrary").then((module) => ({ default: module.NodeLibrary })),
  models: () => import("./library/ModelLibrary").then((module) => ({ default: module.ModelLibrary })),
  workflows: () => import("./library/WorkflowsPanel").then((module) => ({ default: module.WorkflowsPanel })),
  templates: () => import("./library/TemplatesPanel").then((module) => ({ default: module.TemplatesPanel })),
  queue: () => import("@/panels/QueuePanel").then((module) => ({ default: module.QueuePanel })),
  gallery: () => import("@/panels/GalleryPanel").then((module) => ({ default: module.GalleryPanel })),
  logs: () => import("@/panels/LogPanel").then((module) => ({ default: module.LogPanel })),
  form: () => import("@/form").then((module) => ({ default: module.FormView })),
  inspector: () => import("./inspector/Inspector").then((module) => ({ default: module.Inspector })),
};

/** Code that is not shown by itself. */
const helpers = [loadMenus, reader, () => import("./bridging"), () => import("./ranTexts"), () => import("@/workflows/checking"), () => import("@/nodes/preview/Shown")];

/** Fetches them while nothing else is to do, so that they are there even if the server goes away. */
export function loadLater(): void {
  const later = (act: () => void) => ("requestIdleCallback" in window ? window.requestIdleCallback(act, { timeout: 5000 }) : setTimeout(act, 1500));
  setTimeout(() => later(() => [...Object.values(parts), ...helpers].forEach((load) => void load().catch(() => undefined))), 1500);
}
