import { useCallback, useMemo } from "react";
import { useStore } from "zustand";
import type { InputDefinition } from "@/graph/definitions";
import { setControl, setValue } from "@/graph/edits";
import type { Json } from "@/graph/types";
import { isLinked, whyInvalid, widgetValue } from "@/graph/widgets";
import { recordOf, useNodePlace } from "./context";

export interface WidgetState {
  readonly value: Json;
  /** The value comes over a link: the widget shows it but cannot set it. */
  readonly linked: boolean;
  /** What happens to a seed after a run. */
  readonly control: string;
  /** Why the value cannot run; null if it can. */
  readonly problem: string | null;
}

export interface WidgetActions {
  /** Changes made quickly one after the other are one step of the history. */
  readonly set: (value: Json) => void;
  readonly setControl: (control: string) => void;
  /** The change is complete: a new one is a new step. */
  readonly done: () => void;
}

export function useWidget(input: InputDefinition): WidgetState & WidgetActions {
  const place = useNodePlace();
  const { store, graphId, id } = place;
  const { name } = input;
  const value = useStore(store, (state) => {
    const record = recordOf(state, place);
    return record ? widgetValue(record, input) : null;
  });
  const linked = useStore(store, (state) => {
    const record = recordOf(state, place);
    return record !== undefined && isLinked(record, name);
  });
  const control = useStore(store, (state) => recordOf(state, place)?.controls[name] ?? "fixed");
  const set = useCallback(
    (next: Json) => {
      store.getState().edit(`Change ${name}`, (draft) => setValue(draft, graphId, id, name, next), { coalesce: `value:${graphId}:${id}:${name}` });
    },
    [store, graphId, id, name],
  );
  const change = useCallback(
    (next: string) => {
      store.getState().edit("Change what happens after a run", (draft) => setControl(draft, graphId, id, name, next));
    },
    [store, graphId, id, name],
  );
  const done = useCallback(() => store.getState().endCoalescing(), [store]);
  const problem = useMemo(() => (linked ? null : whyInvalid(input, value)), [input, value, linked]);
  return { value, linked, control, problem, set, setControl: change, done };
}
