import { useState } from "react";
import { listOutputs, listParameters, moveParameter, nodeAt, removeOutput, removeParameter, renameParameter, type ParameterMark } from "@/graph/parameters";
import type { DocumentStore } from "@/graph/store";
import type { Document } from "@/graph/types";
import { useDocument } from "@/workflows/workspace";
import { IconButton, TextField } from "../ui";

function titleOf(document: Document, promptId: string): string {
  const found = nodeAt(document, promptId);
  return found ? (found.node.title ?? found.node.type) : "a node that is gone";
}

/** The exposed inputs and outputs of a workflow: rename, order, take away. */
export function ParameterList({ store }: { store: DocumentStore }) {
  const document = useDocument(store, (state) => state.document);
  const parameters = listParameters(document);
  const outputs = listOutputs(document);
  const { edit } = store.getState();
  if (parameters.length + outputs.length === 0) return <p className="sl-hint">None yet. Select a node and press the sliders beside an input.</p>;
  return (
    <>
      {parameters.map((mark, index) => (
        <Parameter key={mark.name} store={store} mark={mark} where={`${titleOf(document, mark.node)} › ${mark.input}`} index={index} count={parameters.length} />
      ))}
      {outputs.map((mark) => (
        <div key={`out-${mark.name}`} className="sl-param">
          <span className="sl-param__where sl-param__words">
            {mark.name}: result of {titleOf(document, mark.node)}
          </span>
          <IconButton icon="close" size="sm" label={`Stop exposing the output ${mark.name}`} onClick={() => edit("Stop exposing", (draft) => removeOutput(draft, mark.name))} />
        </div>
      ))}
    </>
  );
}

function Parameter({ store, mark, where, index, count }: { store: DocumentStore; mark: ParameterMark; where: string; index: number; count: number }) {
  const [name, setName] = useState(mark.name);
  const { edit } = store.getState();
  const commit = () => {
    const wanted = name.trim();
    let done = wanted === mark.name;
    if (!done && wanted !== "") edit("Rename parameter", (draft) => {
      done = renameParameter(draft, mark.name, wanted);
    });
    if (!done) setName(mark.name);
  };
  return (
    <div className="sl-param">
      <div className="sl-param__words">
        <TextField label={`Name of the parameter ${mark.name}`} hideLabel value={name} onChange={setName} onBlur={commit} onKeyDown={(event) => event.key === "Enter" && commit()} />
        <span className="sl-param__where" title={where}>
          {where}
        </span>
      </div>
      <IconButton icon="arrowUp" size="sm" label={`Move ${mark.name} up`} disabled={index === 0} onClick={() => edit("Order parameters", (draft) => moveParameter(draft, mark.name, index - 1))} />
      <IconButton icon="arrowDown" size="sm" label={`Move ${mark.name} down`} disabled={index === count - 1} onClick={() => edit("Order parameters", (draft) => moveParameter(draft, mark.name, index + 1))} />
      <IconButton icon="close" size="sm" label={`Stop exposing ${mark.name}`} onClick={() => edit("Stop exposing", (draft) => removeParameter(draft, mark.name))} />
    </div>
  );
}
