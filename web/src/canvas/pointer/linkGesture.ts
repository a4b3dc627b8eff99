import { disconnect } from "@/graph/edits";
import { isWidget } from "@/graph/definitions";
import { typesMatch } from "@/graph/matching";
import type { LinkId, Point } from "@/graph/types";
import { nodeUnder, slotType, socketUnder } from "../hit";
import type { Scene, SceneNode } from "../scene";
import type { SocketRef } from "../types";
import { joinSockets, reasonAgainst } from "../linking";
import type { Gesture, Press } from "./gesture";

/** Pulls a link out of a socket. `detached` is the existing link that was taken off its input. */
export function linkGesture(press: Press, from: SocketRef, detached: LinkId | null, click?: () => void): Gesture {
  const { store, ui, scene, callbacks } = press.parts;
  const wanted = from.side === "output" ? "input" : "output";
  const stop = (): void => ui.setState({ linking: null, linkEnd: null });

  function look(at: Point): { target: SocketRef | null; reason: string | null } {
    const target = targetAt(scene.get(), at, from, wanted, 22 / Math.max(press.zoom, 0.5));
    return { target, reason: target && reasonAgainst(store.getState(), scene.get().graphId, from, target) };
  }

  return {
    move(at) {
      if (ui.getState().linking === null) ui.setState({ linking: { from, detached } });
      ui.setState({ linkEnd: { at, ...look(at) } });
    },
    end(at, event) {
      stop();
      const { target, reason } = look(at);
      const { graphId } = scene.get();
      if (target !== null) {
        if (reason === null) joinSockets(store, graphId, from, target, detached);
        else callbacks.current.onRefuse?.({ graphId, from, target, reason, detached });
        return;
      }
      if (nodeUnder(scene.get(), at) !== null) return;
      if (detached !== null) store.getState().edit("Disconnect", (draft) => disconnect(draft, graphId, detached));
      else callbacks.current.onOpenSearch?.({ at, client: { x: event.clientX, y: event.clientY }, link: from });
    },
    cancel: stop,
    click,
  };
}

/** The socket meant by a place: one close by, or else the first free one that fits on the node there. */
function targetAt(scene: Scene, at: Point, from: SocketRef, wanted: "input" | "output", radius: number): SocketRef | null {
  const near = socketUnder(scene, at, wanted, radius);
  if (near !== null && near.node !== from.node) return near;
  const node = nodeUnder(scene, at);
  if (node === null || node.id === from.node) return null;
  return rowUnder(node, at, wanted) ?? firstFit(node, from, wanted);
}

/** A link dropped on a widget goes into it. */
function rowUnder(node: SceneNode, at: Point, wanted: "input" | "output"): SocketRef | null {
  const y = at[1] - node.y;
  for (const row of node.geometry.rows) {
    if (y < row.y || y >= row.y + row.height) continue;
    const slot = row.kind === "widget" ? (wanted === "input" ? row.input : null) : row[wanted];
    if (slot === null) return null;
    return { node: node.id, side: wanted, slot, type: slotType(node, wanted, slot) };
  }
  return null;
}

function firstFit(node: SceneNode, from: SocketRef, wanted: "input" | "output"): SocketRef | null {
  const slots = wanted === "input" ? node.record.inputs : node.record.outputs;
  const widgets = new Set(node.definition?.inputs.filter(isWidget).map((input) => input.name));
  const fits = (type: string): boolean => (wanted === "input" ? typesMatch(from.type, type) : typesMatch(type, from.type));
  const order = [...slots.keys()].sort((a, b) => rank(a) - rank(b));
  function rank(index: number): number {
    const slot = slots[index];
    const taken = slot && "link" in slot && slot.link !== null ? 2 : 0;
    return taken + (slot && widgets.has(slot.name) ? 1 : 0);
  }
  const slot = order.find((index) => fits(slots[index]?.type ?? "*")) ?? order[0];
  return slot === undefined ? null : { node: node.id, side: wanted, slot, type: slots[slot]?.type ?? "*" };
}

