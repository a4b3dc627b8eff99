import { setWorkflowDoc, workflowDoc } from "@/graph/parameters";
import { currentGraph } from "@/graph/store";
import { renameSubgraph, unpublish, renamePublished } from "@/graph/subgraphs";
import type { DocumentStore } from "@/graph/store";
import { useDocument, type Tab } from "@/workflows/workspace";
import { runCommand } from "../commands/registry";
import { Button, IconButton, TextField } from "../ui";
import { ParameterList } from "./ParameterList";
import { Section } from "./Section";

/** The workflow itself, when nothing is selected; inside a subgraph, the subgraph. */
export function WorkflowSection({ tab }: { tab: Tab }) {
  const { store } = tab;
  const graph = useDocument(store, currentGraph);
  const inside = graph.subgraph !== null;
  return (
    <>
      {inside && <SubgraphSection store={store} />}
      <Section title={inside ? "Workflow" : undefined}>
        <strong>{tab.name}</strong>
        <dl className="sl-inspector__facts">
          <dt>File</dt>
          <dd>{tab.path ?? "not saved yet"}</dd>
          <dt>Nodes here</dt>
          <dd>{Object.keys(graph.nodes).length}</dd>
          <dt>Links here</dt>
          <dd>{Object.keys(graph.links).length}</dd>
        </dl>
      </Section>
      <Section title="Parameters for the form and the API" extra={<IconButton icon="terminal" size="sm" label="Call this workflow" onClick={() => runCommand("app.call")} />}>
        <WorkflowDoc store={store} />
        <ParameterList store={store} />
      </Section>
      <Section>
        <div className="sl-inspector__row">
          <Button size="sm" icon="plus" onClick={() => runCommand("edit.addNode")}>
            Add node
          </Button>
          <Button size="sm" icon="wand" onClick={() => runCommand("node.arrange")}>
            Arrange
          </Button>
        </div>
      </Section>
    </>
  );
}

/** What the workflow does, for those who call it. */
function WorkflowDoc({ store }: { store: DocumentStore }) {
  const doc = useDocument(store, (state) => workflowDoc(state.document));
  const { edit } = store.getState();
  return (
    <textarea
      className="sl-textarea"
      aria-label="What the workflow does"
      placeholder="What the workflow does, for those who call it."
      rows={2}
      value={doc}
      onChange={(event) => edit("Describe the workflow", (draft) => setWorkflowDoc(draft, event.target.value), { coalesce: "workflow-doc" })}
    />
  );
}

function SubgraphSection({ store }: { store: DocumentStore }) {
  const graph = useDocument(store, currentGraph);
  const { subgraph } = graph;
  if (!subgraph) return null;
  const { edit } = store.getState();
  const sides = [
    ["input", subgraph.inputs],
    ["output", subgraph.outputs],
  ] as const;
  return (
    <Section title="Subgraph" extra={<IconButton icon="share" size="sm" label="Save this subgraph to your library" onClick={() => runCommand("subgraph.publish")} />}>
      <TextField label="Name" value={subgraph.name} onChange={(name) => edit("Rename subgraph", (draft) => renameSubgraph(draft, graph.id, name), { coalesce: "subgraph-name" })} />
      {sides.map(([side, slots]) => (
        <div key={side}>
          <p className="sl-list-heading">{side === "input" ? "Inputs" : "Outputs"}</p>
          {slots.map((slot, index) => (
            <div key={slot.id} className="sl-param">
              <TextField
                label={`Name of the ${side} ${slot.name}`}
                hideLabel
                value={slot.label ?? slot.name}
                onChange={(name) => edit("Rename slot", (draft) => renamePublished(draft, graph.id, side, index, name), { coalesce: `slot-${slot.id}` })}
              />
              <span className="sl-tree__meta">{slot.type}</span>
              <IconButton icon="close" size="sm" label={`Remove the ${side} ${slot.name}`} onClick={() => edit("Remove slot", (draft) => unpublish(draft, graph.id, side, index))} />
            </div>
          ))}
        </div>
      ))}
    </Section>
  );
}
