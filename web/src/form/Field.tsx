/** One field of the form, by the kind of its input. */
import { useCallback, useId, useState } from "react";
import { IconButton, Select, Slider, Switch } from "@/app/ui";
import { setControl, setValue } from "@/graph/edits";
import type { InputDefinition } from "@/graph/definitions";
import { readJson } from "@/graph/json";
import type { DocumentStore } from "@/graph/store";
import type { Json } from "@/graph/types";
import { LARGEST_SEED } from "@/graph/widgets";
import { PackField } from "@/nodes/PackField";
import type { FormField } from "./fields";
import { ImageField } from "./ImageField";
import { NumberField } from "./NumberField";

interface FieldProps {
  store: DocumentStore;
  field: FormField;
}

/** A choice among so many is a slider, too. */
const SLIDER_STEPS = 400;

export function Field({ store, field }: FieldProps) {
  const { graph, node, input, label } = field;
  const id = useId();
  const change = useCallback(
    (value: Json) =>
      void store.getState().edit(`Change ${label}`, (draft) => setValue(draft, graph, node.id, input.name, value), { coalesce: `form ${node.id} ${input.name}` }),
    [store, graph, node.id, input.name, label],
  );
  const body = () => {
    if (input.upload) return <ImageField id={id} kind={input.upload} value={String(field.value ?? "")} choices={input.choices?.map(String) ?? []} label={label} onChange={change} />;
    if (input.choices) {
      const options = input.choices.map((choice) => ({ value: String(choice), label: String(choice) }));
      const now = String(field.value);
      if (!options.some(({ value }) => value === now)) options.unshift({ value: now, label: `${now} (missing)` });
      return <Select hideLabel label={label} value={now} options={options} onChange={(value) => change(input.choices?.find((choice) => String(choice) === value) ?? value)} />;
    }
    if (input.kind === "boolean") return <Switch hideLabel label={label} checked={field.value === true} onChange={change} />;
    if (input.kind === "int" || input.kind === "float") return <Numbers store={store} field={field} id={id} change={change} />;
    if (input.kind === "string" && input.multiline !== true) return <input id={id} className="sl-input sl-form__text" value={String(field.value ?? "")} onChange={(event) => change(event.target.value)} />;
    if (input.kind === "json") return <JsonText id={id} value={field.value} onChange={change} />;
    return <textarea id={id} className="sl-input sl-form__text" rows={input.multiline ? 4 : 2} value={String(field.value ?? "")} onChange={(event) => change(event.target.value)} />;
  };
  return (
    <div className={`sl-form__field ${isShort(field) ? "is-short" : ""}`}>
      <label className="sl-label" htmlFor={id} title={input.tooltip}>
        {label}
      </label>
      <PackField store={store} graphId={graph} id={node.id} promptId={field.place} input={input} ordinary={body()} />
    </div>
  );
}

/** What cannot be read is not taken. */
function JsonText({ id, value, onChange }: { id: string; value: Json; onChange: (value: Json) => void }) {
  const [text, setText] = useState<string | null>(null);
  const take = (): void => {
    const read = text === null ? undefined : readJson(text);
    if (read !== undefined) onChange(read);
    setText(null);
  };
  return <input id={id} className="sl-input sl-form__text" value={text ?? JSON.stringify(value)} onChange={(event) => setText(event.target.value)} onBlur={take} />;
}

/** Two of these stand side by side. */
function isShort({ input }: FormField): boolean {
  return (input.kind === "int" || input.kind === "float") && !input.seed && !hasSlider(input);
}

function hasSlider({ seed, min, max, step = 1 }: InputDefinition): boolean {
  return !seed && min !== undefined && max !== undefined && (max - min) / step <= SLIDER_STEPS;
}

function Numbers({ store, field, id, change }: FieldProps & { id: string; change: (value: Json) => void }) {
  const { input, label, node, graph } = field;
  const value = typeof field.value === "number" ? field.value : Number(field.value) || 0;
  const { min, max, step = 1 } = input;
  const control = node.controls[input.name];
  const random = control === "randomize";
  return (
    <div className="sl-form__row">
      {hasSlider(input) && min !== undefined && max !== undefined && <Slider label={label} value={value} min={min} max={max} step={step} onChange={change} format={() => ""} />}
      <NumberField id={id} input={input} value={value} onChange={change} />
      {input.seed && (
        <>
          <IconButton icon="dice" label="A new seed" onClick={() => change(Math.floor(Math.random() * Math.min(max ?? LARGEST_SEED, LARGEST_SEED)))} />
          <Switch
            label="New each time"
            checked={random}
            onChange={(on) => void store.getState().edit("Seed after a run", (draft) => setControl(draft, graph, node.id, input.name, on ? "randomize" : "fixed"))}
          />
        </>
      )}
    </div>
  );
}
