import type { CanvasParts } from "./context";
import type { ClientPoint } from "./types";

/** What the menus offer comes after the first picture: nobody asks for one before. */
export const loadMenus = () => import("./menus/canvasMenu");

export function openCanvasMenu(parts: CanvasParts, client: ClientPoint, element: Element): void {
  void loadMenus().then((menus) => menus.openCanvasMenu(parts, client, element));
}
