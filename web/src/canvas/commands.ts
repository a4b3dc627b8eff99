/** The tools of the canvas, for the palette and key bindings. */
import { registerCommands } from "@/app/commands/registry";
import { activeCanvas } from "./handle";

const shown = (): boolean => activeCanvas() !== null;

registerCommands([
  { id: "canvas.toolPan", title: "Pan tool", group: "View", icon: "hand", when: shown, run: () => activeCanvas()?.setTool("pan") },
  { id: "canvas.toolSelect", title: "Select tool", group: "View", icon: "pointer", when: shown, run: () => activeCanvas()?.setTool("select") },
  { id: "canvas.toolLasso", title: "Lasso tool", group: "View", when: shown, run: () => activeCanvas()?.setTool("lasso") },
]);

if (new URLSearchParams(window.location.search).has("testgraph")) {
  void import("./testgraph").then(({ openTestGraph }) => openTestGraph(window.location.search));
}
