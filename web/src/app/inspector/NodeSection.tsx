import { useState } from "react";
import { definitionOf } from "@/graph/instances";
import { setMode, setProperty, setTitle } from "@/graph/edits";
import { addOutput, listOutputs, promptId, removeOutput, usableName } from "@/graph/parameters";
import { currentGraph, type DocumentStore } from "@/graph/store";
import { MODE_BYPASSED, MODE_MUTED, MODE_NORMAL, type NodeId, type NodeRecord } from "@/graph/types";
import { packOfMissing, usePacks, whyMissing } from "@/packs/report";
import { duration, useNodeRun } from "@/run";
import { useDocument } from "@/workflows/workspace";
import { Badge, Button, DocText, IconButton, Segmented, Switch, TextField } from "../ui";
import { openDialog } from "../dialogs/dialogState";
import { ColorSwatches } from "./ColorSwatches";
import { InputField } from "./InputField";
import { Section } from "./Section";

function MissingHint({ node }: { node: NodeRecord }) {
  const reason = usePacks((state) => whyMissing(packOfMissing(node.type, node.properties, state)));
  return (
    <>
      <p className="sl-hint">{reason ?? "No installed pack has this type."} The node is kept as it is in the file.</p>
      {reason !== null && (
        <Button size="sm" icon="puzzle" onClick={() => openDialog("packs")}>
          Node packs
        </Button>
      )}
    </>
  );
}

/** Everything about one node. */
export function NodeSection({ store, id }: { store: DocumentStore; id: NodeId }) {
  const graphId = useDocument(store, (state) => state.scope.graphId);
  const node = useDocument(store, (state) => currentGraph(state).nodes[id]);
  const definition = useDocument(store, (state) => (node ? definitionOf(state.document, state.definitions, node) : undefined));
  const [title, setText] = useState<string | null>(null);
  if (!node) return null;
  const { edit } = store.getState();
  const name = node.title ?? definition?.title ?? node.type;
  const commit = () => {
    const next = title?.trim();
    if (next !== undefined && next !== name) edit("Rename node", (draft) => setTitle(draft, graphId, id, next === "" || next === definition?.title ? null : next));
    setText(null);
  };
  const inputs = definition?.inputs ?? [];
  return (
    <>
      <Section>
        <TextField label="Title" value={title ?? name} onChange={setText} onBlur={commit} onKeyDown={(event) => event.key === "Enter" && commit()} />
        <dl className="sl-inspector__facts">
          <dt>Type</dt>
          <dd>
            {node.type} {!definition && <Badge kind="danger">missing</Badge>}
          </dd>
          <dt>Id</dt>
          <dd>{id}</dd>
          <RunFacts store={store} id={id} />
        </dl>
        {!definition && <MissingHint node={node} />}
      </Section>
      {inputs.length > 0 && (
        <Section title="Inputs">
          {inputs.map((input) => (
            <InputField key={input.name} store={store} graphId={graphId} node={node} input={input} />
          ))}
        </Section>
      )}
      <Section title="State">
        <Segmented
          label="Mode"
          value={String(node.mode)}
          onChange={(mode) => edit("Mode", (draft) => setMode(draft, graphId, [id], Number(mode)))}
          options={[
            { value: String(MODE_NORMAL), label: "On" },
            { value: String(MODE_MUTED), label: "Muted" },
            { value: String(MODE_BYPASSED), label: "Bypassed" },
          ]}
        />
        {definition?.outputNode && <OutputSwitch store={store} id={id} name={name} />}
      </Section>
      <Section title="Colour">
        <ColorSwatches store={store} />
      </Section>
      {definition?.doc && (
        <Section title="About this node">
          <DocText className="sl-inspector__doc" text={definition.doc} />
          <dl className="sl-inspector__facts">
            <dt>Category</dt>
            <dd>{definition.category.replaceAll("/", " › ")}</dd>
            <dt>From</dt>
            <dd>{definition.module || "built in"}</dd>
          </dl>
        </Section>
      )}
      <Section title="Note">
        <textarea
          className="sl-textarea"
          aria-label="Note on this node"
          placeholder="For yourself and others; saved with the workflow."
          value={typeof node.properties["note"] === "string" ? node.properties["note"] : ""}
          onChange={(event) => edit("Note", (draft) => setProperty(draft, graphId, id, "note", event.target.value || undefined), { coalesce: `note-${id}` })}
        />
      </Section>
    </>
  );
}

function RunFacts({ store, id }: { store: DocumentStore; id: NodeId }) {
  const path = useDocument(store, (state) => state.scope.path);
  const run = useNodeRun(promptId(path, id));
  if (!run) return null;
  return (
    <>
      <dt>Last run</dt>
      <dd>
        {run.state}
        {run.seconds !== undefined && run.state !== "reused" && ` in ${duration(run.seconds)}`}
        {run.error && <p className="sl-field-problem">{run.error.message}</p>}
      </dd>
    </>
  );
}

/** Results of an output node can be named for the form and the API. */
function OutputSwitch({ store, id, name }: { store: DocumentStore; id: NodeId; name: string }) {
  const path = useDocument(store, (state) => state.scope.path);
  const place = promptId(path, id);
  const mark = useDocument(store, (state) => listOutputs(state.document).find((one) => one.node === place)?.name);
  const { edit } = store.getState();
  const toggle = () => (mark === undefined ? edit("Expose output", (draft) => void addOutput(draft, { name: usableName(name), node: place })) : edit("Stop exposing", (draft) => removeOutput(draft, mark)));
  return (
    <div className="sl-inspector__row" style={{ marginTop: 8 }}>
      <Switch label="Result of the form and the API" checked={mark !== undefined} onChange={toggle} />
      {mark !== undefined && <IconButton icon="info" size="sm" label={`Exposed as “${mark}”`} />}
    </div>
  );
}
