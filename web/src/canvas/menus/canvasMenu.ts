/** What a right click, or the menu key, offers: it depends on what is there. */
import { type MenuItem, openMenu } from "@/app/ui";
import { getSetting } from "@/app/settings/settings";
import type { CanvasParts } from "../context";
import { groupUnder, linkUnder, nodeUnder, rerouteUnder } from "../hit";
import type { ClientPoint } from "../types";
import { emptyItems, groupItems, linkItems, rerouteItems } from "./items";
import { sideItems, sideSlotUnder } from "./sideItems";
import { nodeItems } from "./nodeItems";
import { socketItems, widgetItems } from "./partItems";

export function openCanvasMenu(parts: CanvasParts, client: ClientPoint, element: Element): void {
  const items = itemsAt(parts, client, element);
  if (items.length > 0) openMenu({ ...client, items });
}

function itemsAt(parts: CanvasParts, client: ClientPoint, element: Element): MenuItem[] {
  const { store, scene, handle } = parts;
  const at = handle.toGraph(client);
  const socket = element.closest<HTMLElement>("[data-socket]")?.dataset["socket"];
  if (socket !== undefined) return socketItems(parts, socket);
  const id = element.closest<HTMLElement>("[data-node]")?.dataset["node"] ?? (isBare(element) ? nodeUnder(scene.get(), at)?.id : undefined);
  if (id !== undefined) {
    if (!store.getState().selection.nodes.has(id)) store.getState().select({ nodes: [id] });
    const widget = element.closest<HTMLElement>("[data-widget]")?.dataset["widget"];
    return [...(widget === undefined ? [] : widgetItems(parts, id, widget.slice(id.length + 1))), ...nodeItems(parts, id)];
  }
  const zoom = Math.min(1, handle.toClient([1, 0]).x - handle.toClient([0, 0]).x);
  const side = sideSlotUnder(scene.get(), at);
  if (side) return sideItems(parts, side.side, side.index);
  const reroute = rerouteUnder(scene.get(), at, 9 / zoom);
  if (reroute) return rerouteItems(parts, reroute.id);
  const link = getSetting("links.visible") ? linkUnder(scene.get(), at, 7 / zoom, getSetting("links.style")) : null;
  if (link) return linkItems(parts, link.id, at, client);
  const group = groupUnder(scene.get(), at);
  if (group && group.part !== "body") return groupItems(parts, group.group.record.id, at, client);
  return emptyItems(parts, at, client, group?.group.record.id);
}

function isBare(element: Element): boolean {
  return element.closest(".react-flow__node") === null;
}
