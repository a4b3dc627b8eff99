import { useState } from "react";
import { inputOf, type InputDefinition } from "@/graph/definitions";
import { definitionOf } from "@/graph/instances";
import { problemsOf } from "@/graph/parameterChecks";
import {
  describeOutput,
  isUsableName,
  listOutputs,
  listParameters,
  moveParameter,
  nodeAt,
  removeOutput,
  removeParameter,
  renameOutput,
  renameParameter,
  type OutputMark,
  type ParameterMark,
  usableName,
} from "@/graph/parameters";
import type { DocumentStore } from "@/graph/store";
import type { Document } from "@/graph/types";
import { useDocument } from "@/workflows/workspace";
import { Button, IconButton } from "../ui";
import { FactField } from "./FactField";
import { ParameterDetails } from "./ParameterDetails";

function titleOf(document: Document, promptId: string): string {
  const found = nodeAt(document, promptId);
  return found ? (found.node.title ?? found.node.type) : "a node that is gone";
}

/** The exposed inputs and outputs of a workflow: name, order, describe, take away. */
export function ParameterList({ store }: { store: DocumentStore }) {
  const document = useDocument(store, (state) => state.document);
  const definitions = useDocument(store, (state) => state.definitions);
  const parameters = listParameters(document);
  const outputs = listOutputs(document);
  if (parameters.length + outputs.length === 0) return <p className="sl-hint">None yet. Select a node and press the sliders beside an input.</p>;
  const inputAt = (mark: ParameterMark): InputDefinition | undefined => {
    const found = nodeAt(document, mark.node);
    return found ? inputOf(definitionOf(document, definitions, found.node, found.graphId), mark.input) : undefined;
  };
  return (
    <>
      {parameters.map((mark, index) => (
        <Parameter key={mark.name} store={store} mark={mark} input={inputAt(mark)} where={`${titleOf(document, mark.node)} › ${mark.input}`} index={index} count={parameters.length} />
      ))}
      {outputs.map((mark) => (
        <Output key={`out-${mark.name}`} store={store} mark={mark} where={`result of ${titleOf(document, mark.node)}`} />
      ))}
    </>
  );
}

interface ParameterProps {
  store: DocumentStore;
  mark: ParameterMark;
  input: InputDefinition | undefined;
  where: string;
  index: number;
  count: number;
}

function Parameter({ store, mark, input, where, index, count }: ParameterProps) {
  const [open, setOpen] = useState(false);
  const { edit } = store.getState();
  const rename = (wanted: string) => {
    let done = false;
    edit("Rename parameter", (draft) => {
      done = renameParameter(draft, mark.name, wanted.trim());
    });
    return done ? null : nameProblem(wanted);
  };
  const problems = input ? problemsOf(input, mark) : [];
  return (
    <div className="sl-param-box">
      <div className="sl-param">
        <div className="sl-param__words">
          <NameField label={`Name of the parameter ${mark.name}`} name={mark.name} rename={rename} />
          <span className="sl-param__where" title={where}>
            {where}
          </span>
        </div>
        <IconButton icon="sliders" size="sm" label={`Describe ${mark.name}`} active={open} aria-expanded={open} onClick={() => setOpen(!open)} />
        <IconButton icon="arrowUp" size="sm" label={`Move ${mark.name} up`} disabled={index === 0} onClick={() => edit("Order parameters", (draft) => moveParameter(draft, mark.name, index - 1))} />
        <IconButton icon="arrowDown" size="sm" label={`Move ${mark.name} down`} disabled={index === count - 1} onClick={() => edit("Order parameters", (draft) => moveParameter(draft, mark.name, index + 1))} />
        <IconButton icon="close" size="sm" label={`Stop exposing ${mark.name}`} onClick={() => edit("Stop exposing", (draft) => removeParameter(draft, mark.name))} />
      </div>
      {problems.map((problem) => (
        <p key={problem} className="sl-field-problem">
          {problem}
        </p>
      ))}
      {open && <ParameterDetails store={store} mark={mark} input={input} />}
    </div>
  );
}

function Output({ store, mark, where }: { store: DocumentStore; mark: OutputMark; where: string }) {
  const [open, setOpen] = useState(false);
  const { edit } = store.getState();
  const rename = (wanted: string) => {
    let done = false;
    edit("Rename output", (draft) => {
      done = renameOutput(draft, mark.name, wanted.trim());
    });
    return done ? null : nameProblem(wanted);
  };
  const describe = (written: string) => {
    edit(`Describe ${mark.name}`, (draft) => describeOutput(draft, mark.name, written));
    return null;
  };
  return (
    <div className="sl-param-box">
      <div className="sl-param">
        <div className="sl-param__words">
          <NameField label={`Name of the output ${mark.name}`} name={mark.name} rename={rename} />
          <span className="sl-param__where" title={where}>
            {where}
          </span>
        </div>
        <IconButton icon="sliders" size="sm" label={`Describe the output ${mark.name}`} active={open} aria-expanded={open} onClick={() => setOpen(!open)} />
        <IconButton icon="close" size="sm" label={`Stop exposing the output ${mark.name}`} onClick={() => edit("Stop exposing", (draft) => removeOutput(draft, mark.name))} />
      </div>
      {open && (
        <div className="sl-param__details">
          <FactField label="What it is" value={mark.doc ?? ""} take={describe} />
        </div>
      )}
    </div>
  );
}

function nameProblem(wanted: string): string {
  return wanted.trim() === "" ? "A name is needed." : "Another one has this name.";
}

/** A name, and where programs cannot write it, one that they can. */
function NameField({ label, name, rename }: { label: string; name: string; rename: (wanted: string) => string | null }) {
  const usable = usableName(name);
  return (
    <>
      <FactField hideLabel label={label} value={name} take={rename} />
      {!isUsableName(name) && (
        <Button size="sm" className="sl-param__usable" onClick={() => void rename(usable)}>
          Use {usable}, which programs can write
        </Button>
      )}
    </>
  );
}
