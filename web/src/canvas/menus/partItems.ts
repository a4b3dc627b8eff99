/** Menus of a socket and of a widget. */
import type { MenuItem } from "@/app/ui";
import { disconnectInput, disconnectOutput, setValue, setWidgetAsInput } from "@/graph/edits";
import { inputOf } from "@/graph/definitions";
import { shownInputs } from "@/graph/layout";
import { addParameter, isUsableName, listParameters, promptId, removeParameter, usableName } from "@/graph/parameters";
import { publishInput, publishOutput } from "@/graph/subgraphs";
import type { NodeId } from "@/graph/types";
import { defaultValue, inputSlotOf, isLinked, widgetValue } from "@/graph/widgets";
import type { CanvasParts } from "../context";
import { slotType } from "../hit";

export function socketItems({ store, scene, ui, callbacks, handle }: CanvasParts, key: string): MenuItem[] {
  const at = key.lastIndexOf(":");
  const [id, side, slot] = [key.slice(0, at), key[at + 1] === "o" ? "output" : "input", Number(key.slice(at + 2))] as const;
  const node = scene.get().byId.get(id);
  const record = node?.record[side === "input" ? "inputs" : "outputs"][slot];
  if (node === undefined || record === undefined) return [];
  const { graphId, graph } = scene.get();
  const { edit } = store.getState();
  const type = slotType(node, side, slot);
  const linked = "links" in record ? record.links.length > 0 : record.link !== null;
  const geometry = node[side === "input" ? "inputs" : "outputs"][slot];
  const place = [node.x + (geometry?.x ?? 0) + (side === "output" ? 60 : -60), node.y + (geometry?.y ?? 0)] as const;
  return [
    { heading: `${record.label ?? record.name} · ${type}` },
    { label: "Link with…", icon: "link", onSelect: () => ui.setState({ choosing: { node: id, side, slot, type } }) },
    { label: "Add a node that fits…", icon: "plus", disabled: !callbacks.current.onOpenSearch, onSelect: () => callbacks.current.onOpenSearch?.({ at: place, client: handle.toClient(place), link: { node: id, side, slot, type } }) },
    {
      label: "Disconnect",
      icon: "unlink",
      disabled: !linked,
      onSelect: () => edit("Disconnect", (draft) => (side === "input" ? disconnectInput(draft, graphId, id, slot) : disconnectOutput(draft, graphId, id, slot))),
    },
    ...(graph.subgraph === null
      ? []
      : [{ label: side === "input" ? "Publish as input of the subgraph" : "Publish as output of the subgraph", icon: "share" as const, disabled: side === "input" && linked, onSelect: () => edit("Publish", (draft) => void (side === "input" ? publishInput : publishOutput)(draft, graphId, { node: id, slot })) }]),
  ];
}

export function widgetItems({ store, scene, ui }: CanvasParts, id: NodeId, name: string): MenuItem[] {
  const node = scene.get().byId.get(id);
  const input = inputOf(node?.definition, name);
  if (node === undefined || input === undefined) return [];
  const { graphId, graph } = scene.get();
  const { document, scope, edit } = store.getState();
  const { record } = node;
  const slot = inputSlotOf(record, name);
  const shown = shownInputs(record).includes(name);
  const prompt = promptId(scope.path, id);
  const mark = listParameters(document).find((one) => one.node === prompt && one.input === name);
  const value = widgetValue(record, input);
  return [
    { heading: input.label ?? name },
    {
      label: mark ? "Exposed as a parameter" : "Expose as a parameter",
      icon: "form",
      checked: mark !== undefined,
      onSelect: () => edit(mark ? "Hide parameter" : "Expose parameter", (draft) => void (mark ? removeParameter(draft, mark.name) : addParameter(draft, { name: isUsableName(name) ? name : usableName(name), node: prompt, input: name, ...(input.label ? { label: input.label } : {}) }))),
    },
    { label: shown ? "Use as a widget" : "Use as an input", icon: "spline", disabled: slot < 0, onSelect: () => makeInput() },
    { label: "Link with…", icon: "link", disabled: slot < 0, onSelect: () => ui.setState({ choosing: { node: id, side: "input", slot, type: input.type } }) },
    ...(graph.subgraph === null ? [] : [{ label: "Publish as input of the subgraph", icon: "share" as const, disabled: isLinked(record, name) || slot < 0, onSelect: () => edit("Publish", (draft) => void publishInput(draft, graphId, { node: id, slot })) }]),
    { label: "Copy value", icon: "copy", onSelect: () => void navigator.clipboard?.writeText(typeof value === "string" ? value : JSON.stringify(value)) },
    { label: "Reset to default", icon: "reset", disabled: isLinked(record, name), onSelect: () => edit(`Reset ${name}`, (draft) => setValue(draft, graphId, id, name, defaultValue(input))) },
    "separator",
  ];

  function makeInput(): void {
    edit(shown ? "Input to widget" : "Widget to input", (draft) => {
      setWidgetAsInput(draft, graphId, id, name, !shown);
      if (shown && isLinked(record, name)) disconnectInput(draft, graphId, id, slot);
    });
  }
}
