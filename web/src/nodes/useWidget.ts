import { useCallback, useMemo } from "react";
import { useStore } from "zustand";
import type { InputDefinition } from "@/graph/definitions";
import { setControl, setValue } from "@/graph/edits";
import { type Source, effective } from "@/graph/effective";
import type { DocumentState } from "@/graph/store";
import type { Json, NodeId } from "@/graph/types";
import { isLinked, whyInvalid, widgetValue } from "@/graph/widgets";
import { type NodePlace, recordOf, useNodePlace } from "./context";

export interface WidgetState {
  readonly value: Json;
  /** The value comes over a link, or the instance around sets it: the widget shows it but cannot set it. */
  readonly linked: boolean;
  /** False: set here. Else what runs, as text; true where only the run makes it. */
  readonly given: boolean | string;
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
    const source = sourceOf(state, place, name);
    if (source !== null && typeof source !== "string") return source.value;
    return record ? widgetValue(record, input) : null;
  });
  const linked = useStore(store, (state) => {
    const record = recordOf(state, place);
    return record !== undefined && (isLinked(record, name) || isElsewhere(sourceOf(state, place, name), state, place));
  });
  const known = useStore(store, (state) => sourceOf(state, place, name) !== "computed");
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
  const given = linked && (known ? spelled(value) : true);
  return { value, linked, given, control, problem, set, setControl: change, done };
}

/** The instances that a node is seen through; those of the graph in view where its place says nothing else. */
function pathOf({ scope }: DocumentState, place: NodePlace): readonly NodeId[] {
  if (place.promptId !== undefined) return place.promptId.split(":").slice(0, -1);
  return scope.graphId === place.graphId ? scope.path : NO_PATH;
}

const NO_PATH: readonly NodeId[] = [];

/** Where the value comes from; null where nothing but the widget itself can say. */
function sourceOf(state: DocumentState, place: NodePlace, name: string): Source | null {
  const record = recordOf(state, place);
  const path = pathOf(state, place);
  if (record === undefined || (path.length === 0 && !isLinked(record, name))) return null;
  return effective(state, path, place.id, name);
}

function isElsewhere(source: Source | null, state: DocumentState, place: NodePlace): boolean {
  return source !== null && typeof source !== "string" && (source.node !== place.id || source.path.length !== pathOf(state, place).length);
}

function spelled(value: Json): string {
  return typeof value === "string" ? value : value === null ? "" : JSON.stringify(value);
}
