import { type ReactNode, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useStore } from "zustand";
import { Icon } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import { promptId } from "@/graph/scope";
import type { Json } from "@/graph/types";
import type { WidgetFacts } from "@/packs/api";
import { WidgetHost } from "@/packs/host";
import { addProblem } from "@/packs/report";
import { type BroughtWidget, usePackWidgets } from "@/packs/widgets";
import { useDefinition, useNodePlace, useRecord } from "../context";
import { scrollsWhenFocused } from "../scrolling";
import { useWidget, type WidgetState } from "../useWidget";
import { Frame } from "./Frame";

interface PackWidgetProps {
  readonly input: InputDefinition;
  /** What is shown when no pack brings the widget. */
  readonly ordinary: ReactNode;
  /** The name of the input stands elsewhere. */
  readonly bare?: boolean;
  /** In pixels, where the row of a node does not say it. */
  readonly height?: number;
}

/** The widget that a pack brings for an input. Until the packs' modules are here, nothing. */
export function PackWidget({ input, ordinary, bare = false, height }: PackWidgetProps) {
  const brought = usePackWidgets((state) => state.widgets.get(input.widget ?? ""));
  const ready = usePackWidgets((state) => state.ready);
  const [plain, setPlain] = useState<BroughtWidget | null>(null);
  if (brought === undefined) return ready ? ordinary : null;
  return brought === plain ? ordinary : <Hosted brought={brought} input={input} bare={bare} height={height} onPlain={() => setPlain(brought)} />;
}

interface HostedProps {
  readonly brought: BroughtWidget;
  readonly input: InputDefinition;
  readonly bare: boolean;
  readonly height: number | undefined;
  readonly onPlain: () => void;
}

function Hosted({ brought, input, bare, height, onPlain }: HostedProps) {
  const widget = useWidget(input);
  const facts = useFacts(input, widget);
  const element = useRef<HTMLDivElement>(null);
  const host = useRef<WidgetHost | null>(null);
  const newest = useRef({ facts, widget });
  const [broken, setBroken] = useState<{ brought: BroughtWidget; message: string } | null>(null);
  const failed = broken?.brought === brought ? broken.message : null;
  useLayoutEffect(() => {
    newest.current = { facts, widget };
    host.current?.update(facts);
  }, [facts, widget]);
  useLayoutEffect(() => {
    if (element.current === null) return undefined;
    const actions = {
      set: (value: Json) => newest.current.widget.set(value),
      done: () => newest.current.widget.done(),
      broke: (message: string) => {
        setBroken({ brought, message });
        addProblem(brought.pack, `The widget “${newest.current.facts.options["widgetType"] ?? ""}” failed: ${message}`);
      },
    };
    const made = new WidgetHost(brought, element.current, newest.current.facts, actions);
    host.current = made;
    return () => {
      host.current = null;
      made.destroy();
    };
  }, [brought]);
  const holder = (
    <div
      ref={element}
      className="sl-pack-widget"
      data-pack-widget=""
      data-linked={widget.linked || undefined}
      data-tip={bare ? undefined : input.tooltip}
      role="group"
      aria-label={input.label ?? input.name}
      hidden={failed !== null}
      style={{ height }}
      onFocus={scrollsWhenFocused.onFocus}
      onBlur={(event) => {
        scrollsWhenFocused.onBlur(event);
        widget.done();
      }}
    />
  );
  const words = failed !== null && <Failure pack={brought.pack} name={input.widget ?? ""} message={failed} onPlain={onPlain} />;
  if (bare || input.height !== undefined) {
    return (
      <>
        {holder}
        {words}
      </>
    );
  }
  return (
    <Frame input={input} given={false} problem={failed}>
      {holder}
      {words}
    </Frame>
  );
}

/** What the pack's code is told. */
function useFacts(input: InputDefinition, { value, linked }: WidgetState): WidgetFacts {
  const { store, graphId, id, promptId: known } = useNodePlace();
  const record = useRecord();
  const definition = useDefinition();
  const shown = useStore(store, ({ scope }) => known ?? (scope.graphId === graphId ? promptId(scope.path, id) : id));
  const type = record?.type ?? "";
  const title = record?.title ?? definition?.title ?? type;
  return useMemo(
    () => ({
      value,
      options: input.options,
      input: { name: input.name, type: input.type, label: input.label ?? input.name, tooltip: input.tooltip ?? "" },
      node: { id: shown, type, title },
      readOnly: linked,
    }),
    [value, linked, input, shown, type, title],
  );
}

function Failure({ pack, name, message, onPlain }: { pack: string; name: string; message: string; onPlain: () => void }) {
  return (
    <div className="sl-pack-widget-failed" role="alert" data-tip={`The widget “${name}” of the pack “${pack}” failed: ${message}`}>
      <Icon name="warning" size={13} />
      <span>
        “{name}” failed: {message}
      </span>
      <button type="button" onClick={onPlain}>
        Plain field
      </button>
    </div>
  );
}
