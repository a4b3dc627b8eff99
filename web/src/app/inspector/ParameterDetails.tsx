import type { Choice, InputDefinition } from "@/graph/definitions";
import { isNumber, numberProblem, readDefault, readNumber, toggledChoices } from "@/graph/parameterChecks";
import { changeParameter, type ParameterFacts, type ParameterMark } from "@/graph/parameters";
import type { DocumentStore } from "@/graph/store";
import type { Json } from "@/graph/types";
import { Button, Select, Switch } from "../ui";
import { FactField } from "./FactField";

interface DetailsProps {
  store: DocumentStore;
  mark: ParameterMark;
  /** Undefined when the node is gone, or its type is not installed. */
  input: InputDefinition | undefined;
}

type Change = { readonly [key in keyof ParameterFacts]: ParameterFacts[key] | undefined };

/** All that is said of a parameter: for people, for forms, and for whoever calls the workflow. */
export function ParameterDetails({ store, mark, input }: DetailsProps) {
  const set = (facts: Change) => void store.getState().edit(`Describe ${mark.name}`, (draft) => changeParameter(draft, mark.name, facts));
  const text = (key: "label" | "doc") => (written: string) => {
    set({ [key]: written.trim() === "" ? undefined : written.trim() });
    return null;
  };
  return (
    <div className="sl-param__details" role="group" aria-label={`About ${mark.name}`}>
      <FactField label="Label in forms" value={mark.label ?? ""} placeholder={mark.name.replaceAll("_", " ")} take={text("label")} />
      <FactField label="What it is for" value={mark.doc ?? ""} placeholder={input?.tooltip ?? ""} take={text("doc")} />
      {input && isNumber(input) && <Range mark={mark} input={input} set={set} />}
      {input?.choices && input.choices.length > 1 && !input.upload && <Choices mark={mark} all={input.choices} set={set} />}
      {input && !mark.required && <Default mark={mark} input={input} set={set} />}
      <Switch label="Must be given: it has no default" checked={mark.required === true} onChange={(required) => set({ required, ...(required ? { default: undefined } : {}) })} />
    </div>
  );
}

interface PartProps {
  mark: ParameterMark;
  input: InputDefinition;
  set: (facts: Change) => void;
}

function Range({ mark, input, set }: PartProps) {
  const take = (key: "min" | "max" | "step") => (written: string) => {
    const value = readNumber(written, input.kind === "int");
    if (typeof value === "string") return value;
    const problem = numberProblem(input, mark, key, value);
    if (problem === null) set({ [key]: value });
    return problem;
  };
  const shown = (value: number | undefined) => (value === undefined ? "" : String(value));
  return (
    <div className="sl-param__row">
      <FactField numeric label="Minimum" value={shown(mark.min)} placeholder={shown(input.min)} take={take("min")} />
      <FactField numeric label="Maximum" value={shown(mark.max)} placeholder={shown(input.max)} take={take("max")} />
      <FactField numeric label="Step" value={shown(mark.step)} placeholder={shown(input.step)} take={take("step")} />
    </div>
  );
}

const AS_SAVED = "\u0000as saved";

function Default({ mark, input, set }: PartProps) {
  const now = mark.default === undefined ? "" : typeof mark.default === "string" ? mark.default : JSON.stringify(mark.default);
  const choices = (mark.choices ?? input.choices)?.map(String) ?? (input.kind === "boolean" ? ["true", "false"] : undefined);
  const take = (written: string) => {
    const { value, problem } = readDefault(input, mark, written);
    if (problem === undefined) set({ default: value as Json | undefined });
    return problem ?? null;
  };
  if (input.upload || input.kind === "json") return null; // the file, or the value, that the workflow was saved with
  if (choices === undefined) return <FactField label="Default" numeric={isNumber(input)} value={now} placeholder="the value in the graph" take={take} />;
  const options = [{ value: AS_SAVED, label: "the value in the graph" }, ...choices.map((one) => ({ value: one, label: one }))];
  return <Select label="Default" value={mark.default === undefined ? AS_SAVED : now} options={options} onChange={(one) => void (one === AS_SAVED ? set({ default: undefined }) : take(one))} />;
}

/** Which of the node's choices are offered: all, unless some are taken away. */
function Choices({ mark, all, set }: { mark: ParameterMark; all: readonly Choice[]; set: (facts: Change) => void }) {
  const chosen = new Set(mark.choices ?? all);
  return (
    <fieldset className="sl-param__choices">
      <legend className="sl-label">
        Choices {chosen.size} of {all.length}
        {mark.choices && (
          <Button size="sm" onClick={() => set({ choices: undefined })}>
            Offer all
          </Button>
        )}
      </legend>
      <div className="sl-param__list">
        {all.map((one) => (
          <label key={String(one)}>
            <input type="checkbox" checked={chosen.has(one)} disabled={chosen.size === 1 && chosen.has(one)} onChange={() => set({ choices: toggledChoices(all, mark.choices, one) })} />
            {String(one)}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
