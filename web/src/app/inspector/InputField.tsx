import { useId, useState } from "react";
import { isWidget, type InputDefinition } from "@/graph/definitions";
import { setControl, setValue } from "@/graph/edits";
import { readJson } from "@/graph/json";
import { addParameter, isUsableName, listParameters, promptId, removeParameter, usableName } from "@/graph/parameters";
import type { DocumentStore } from "@/graph/store";
import type { Json, NodeRecord } from "@/graph/types";
import { AFTER_RUN, coerce, isLinked, widgetValue } from "@/graph/widgets";
import { PackField } from "@/nodes/PackField";
import { socketColor } from "@/theme/sockets";
import { useDocument } from "@/workflows/workspace";
import { IconButton, Select, Switch, TextField } from "../ui";

interface InputFieldProps {
  store: DocumentStore;
  graphId: string;
  node: NodeRecord;
  input: InputDefinition;
}

/** One input of a node, with a field for its value if it has one. */
export function InputField({ store, graphId, node, input }: InputFieldProps) {
  const id = useId();
  const linked = isLinked(node, input.name);
  const widget = isWidget(input);
  return (
    <div className="sl-field">
      <div className="sl-field__head" title={input.tooltip}>
        <span className="sl-socket-dot" style={{ background: socketColor(input.kind === "combo" ? "COMBO" : input.type) }} />
        <label htmlFor={id}>{input.label ?? input.name}</label>
        {linked || !widget ? <span className="sl-field__linked">{linked ? "linked" : input.required ? "not linked" : "optional"}</span> : null}
        {widget && <ExposeButton store={store} node={node} input={input} />}
      </div>
      {widget && !linked && <PackField store={store} graphId={graphId} id={node.id} input={input} ordinary={<Field id={id} store={store} graphId={graphId} node={node} input={input} />} />}
    </div>
  );
}

/** Marks an input as a parameter of the workflow. */
function ExposeButton({ store, node, input }: Omit<InputFieldProps, "graphId">) {
  const path = useDocument(store, (state) => state.scope.path);
  const place = promptId(path, node.id);
  const name = useDocument(store, (state) => listParameters(state.document).find((mark) => mark.node === place && mark.input === input.name)?.name);
  const { edit } = store.getState();
  const toggle = () =>
    name === undefined ? edit("Expose as parameter", (draft) => void addParameter(draft, { name: isUsableName(input.name) ? input.name : usableName(input.name), node: place, input: input.name })) : edit("Stop exposing", (draft) => removeParameter(draft, name));
  return <IconButton icon="sliders" size="sm" active={name !== undefined} label={name === undefined ? `Expose ${input.name} as a parameter` : `Exposed as “${name}”; press to stop`} onClick={toggle} />;
}

function Field({ id, store, graphId, node, input }: InputFieldProps & { id: string }) {
  const value = widgetValue(node, input);
  const { edit } = store.getState();
  const set = (next: Json) => edit(`Set ${input.name}`, (draft) => setValue(draft, graphId, node.id, input.name, next), { coalesce: `inspector-${node.id}-${input.name}` });
  switch (input.kind) {
    case "boolean":
      return <Switch label={input.name} hideLabel checked={value === true} onChange={set} />;
    case "combo":
      return <Choice input={input} value={value} set={set} />;
    case "int":
    case "float":
      return (
        <>
          <NumberField id={id} value={value} onCommit={(text) => set(coerce(input, text))} />
          {input.seed && (
            <Select
              label={`After a run: ${input.name}`}
              hideLabel
              size="sm"
              value={node.controls[input.name] ?? "fixed"}
              options={AFTER_RUN.map((control) => ({ value: control, label: `After a run: ${control}` }))}
              onChange={(control) => edit("After a run", (draft) => setControl(draft, graphId, node.id, input.name, control))}
            />
          )}
        </>
      );
    case "json":
      return <JsonField label={input.name} value={value} set={set} />;
    default:
      return typeof value === "string" || value === null ? (
        <textarea id={id} className="sl-textarea" rows={input.multiline ? 4 : 1} style={input.multiline ? undefined : { minHeight: 30 }} value={value ?? ""} onChange={(event) => set(event.target.value)} />
      ) : (
        <code className="sl-field__linked">{JSON.stringify(value)}</code>
      );
  }
}

function Choice({ input, value, set }: { input: InputDefinition; value: Json; set: (value: Json) => void }) {
  const choices = input.choices ?? [];
  const names = choices.map(String);
  const current = String(value);
  const all = names.includes(current) ? names : [current, ...names];
  return <Select label={input.name} hideLabel value={current} options={all.map((name) => ({ value: name, label: name || "(empty)" }))} onChange={(name) => set(choices.find((choice) => String(choice) === name) ?? name)} />;
}

function JsonField({ label, value, set }: { label: string; value: Json; set: (value: Json) => void }) {
  const [text, setText] = useState<string | null>(null);
  const take = () => {
    const read = text === null ? undefined : readJson(text);
    if (read !== undefined) set(read);
    setText(null);
  };
  return <TextField label={`${label} as JSON`} hideLabel value={text ?? JSON.stringify(value)} onChange={setText} onBlur={take} onKeyDown={(event) => event.key === "Enter" && take()} />;
}

function NumberField({ id, value, onCommit }: { id: string; value: Json; onCommit: (text: string) => void }) {
  const [text, setText] = useState<string | null>(null);
  const commit = () => {
    if (text !== null && text.trim() !== "") onCommit(text);
    setText(null);
  };
  return <TextField id={id} label="Value" hideLabel inputMode="decimal" value={text ?? String(value)} onChange={setText} onBlur={commit} onKeyDown={(event) => event.key === "Enter" && commit()} />;
}
