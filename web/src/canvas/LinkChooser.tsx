import { Command } from "cmdk";
import { Dialog } from "radix-ui";
import { type RefObject, useState } from "react";
import { socketColor } from "@/theme/sockets";
import { type Bridge, bridgesBetween } from "@/graph/bridges";
import { INPUT_SIDE, OUTPUT_SIDE } from "@/graph/types";
import { bridgeSockets, closesLoop } from "./bridging";
import { useCanvas, useUi } from "./context";
import { slotType } from "./hit";
import { joinSockets, reasonAgainst } from "./linking";
import { readingOrder } from "./readingOrder";
import type { Scene, SceneNode } from "./scene";
import type { SocketRef } from "./types";

interface Choice {
  readonly key: string;
  readonly ref: SocketRef;
  readonly label: string;
  readonly note: string;
  /** The node that must go between. */
  readonly bridge?: Bridge;
}

/** Making a link without a pointer: choose a socket of the node, then its partner. */
export function LinkChooser({ root }: { root: RefObject<HTMLElement | null> }) {
  const { store, ui, scene } = useCanvas();
  const choosing = useUi((state) => state.choosing);
  const [chosen, setChosen] = useState<SocketRef | null>(choosing && "side" in choosing ? choosing : null);
  if (choosing === null) return null;
  const close = (): void => {
    ui.setState({ choosing: null });
    root.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(choosing.node)}"]`)?.focus({ preventScroll: true });
  };
  const choices = chosen === null ? socketsOf(scene.get(), choosing.node) : partnersOf(scene.get(), store, chosen);
  const pick = ({ ref, bridge }: Choice): void => {
    if (chosen === null) return setChosen(ref);
    if (bridge === undefined) joinSockets(store, scene.get().graphId, chosen, ref);
    else bridgeSockets(store, scene.get().graphId, bridge, chosen, ref);
    close();
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && close()}>
      <Dialog.Portal>
        <Dialog.Overlay className="sl-dialog-overlay" />
        <Dialog.Content className="sl-link-chooser" aria-describedby={undefined}>
          <Dialog.Title className="sl-visually-hidden">{chosen ? "Choose the other end" : "Choose a socket"}</Dialog.Title>
          <Command key={chosen ? "partner" : "socket"} label={chosen ? "Choose the other end" : "Choose a socket"}>
            <Command.Input autoFocus placeholder={chosen ? `Link ${chosen.type} with…` : "Link which socket?"} />
            <Command.List>
              <Command.Empty>{chosen ? "Nothing here fits this socket." : "No sockets."}</Command.Empty>
              {choices.map((choice) => (
                <Command.Item key={choice.key} value={`${choice.label} ${choice.note} ${choice.key}`} onSelect={() => pick(choice)}>
                  <span className="sl-dot" style={{ background: socketColor(choice.ref.type) }} />
                  <span>{choice.label}</span>
                  <span className="sl-muted">{choice.note}</span>
                </Command.Item>
              ))}
            </Command.List>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function titleOf(node: SceneNode): string {
  return node.record.title ?? node.definition?.title ?? node.record.type;
}

function socketsOf(scene: Scene, id: string): Choice[] {
  const node = scene.byId.get(id);
  if (node === undefined) return [];
  return [...slotsOf(node, "output"), ...slotsOf(node, "input")].map((one) => ({ ...one, note: `${one.ref.side} · ${one.ref.type}` }));
}

function slotsOf(node: SceneNode, side: "input" | "output"): Choice[] {
  const slots = side === "input" ? node.record.inputs : node.record.outputs;
  return slots.map((slot, index) => {
    const ref = { node: node.id, side, slot: index, type: slotType(node, side, index) };
    return { key: `${node.id}${side}${index}`, ref, label: slot.label ?? slot.name, note: titleOf(node) };
  });
}

function partnersOf(scene: Scene, store: ReturnType<typeof useCanvas>["store"], from: SocketRef): Choice[] {
  const side = from.side === "output" ? "input" : "output";
  const found = readingOrder(scene).flatMap((id) => {
    const node = scene.byId.get(id);
    return node === undefined || id === from.node ? [] : slotsOf(node, side);
  });
  for (const box of scene.sides) {
    if ((box.id === INPUT_SIDE) !== (side === "output")) continue;
    for (const { slot, index } of box.slots) {
      found.push({ key: `${box.id}${index}`, ref: { node: box.id, side, slot: index, type: slot?.type ?? "*" }, label: slot?.label ?? slot?.name ?? "New", note: box.id === OUTPUT_SIDE ? "output of the subgraph" : "input of the subgraph" });
    }
  }
  const state = store.getState();
  const fitting = found.filter((one) => reasonAgainst(state, scene.graphId, from, one.ref) === null);
  const others = found.flatMap((one): Choice[] => {
    const [output, input] = side === "input" ? [from, one.ref] : [one.ref, from];
    const [bridge] = [INPUT_SIDE, OUTPUT_SIDE].includes(one.ref.node) ? [] : bridgesBetween(state.definitions, output.type, input.type);
    return bridge === undefined || closesLoop(state.document, scene.graphId, output, input) ? [] : [{ ...one, bridge, note: `${one.note} · through ${bridge.definition.title}` }];
  });
  return [...fitting, ...others];
}
