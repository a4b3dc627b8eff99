/** The widgets that packs have brought so far, by name. */
import { create } from "zustand";
import type { PackWidget } from "./api";

export interface BroughtWidget {
  readonly pack: string;
  readonly widget: PackWidget;
}

interface PackWidgets {
  /** False until the modules of packs were imported, well or not. */
  ready: boolean;
  widgets: ReadonlyMap<string, BroughtWidget>;
}

export const usePackWidgets = create<PackWidgets>(() => ({ ready: false, widgets: new Map() }));

/** Adds a widget. Throws if another one has its name. */
export function bringWidget(name: string, brought: BroughtWidget): void {
  const { widgets } = usePackWidgets.getState();
  const holder = widgets.get(name);
  if (holder) throw new Error(`The widget “${name}” is there already, from the pack ${holder.pack}.`);
  usePackWidgets.setState({ widgets: new Map(widgets).set(name, brought) });
}

/** Takes away all widgets of a pack. */
export function takeWidgets(pack: string): void {
  usePackWidgets.setState(({ widgets }) => ({ widgets: new Map([...widgets].filter(([, one]) => one.pack !== pack)) }));
}
