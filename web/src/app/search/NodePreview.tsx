import type { InputDefinition, NodeDefinition } from "@/graph/definitions";
import { socketColor } from "@/theme/sockets";
import { Badge, DocText } from "../ui";

/** What a node takes and gives, and its docs: beside the results of the search and in the node library. */
export function NodePreview({ definition, showId }: { definition: NodeDefinition; showId?: boolean }) {
  return (
    <div className="sl-node-preview">
      <h3 className="sl-node-preview__title">{definition.title}</h3>
      <p className="sl-node-preview__meta">
        <span>{definition.category.replaceAll("/", " › ") || "no category"}</span>
        {showId && <code>{definition.type}</code>}
        {definition.deprecated && <Badge kind="warning">deprecated</Badge>}
        {definition.experimental && <Badge kind="info">experimental</Badge>}
      </p>
      {definition.doc && <DocText className="sl-node-preview__doc" text={definition.doc} />}
      <Sockets title="Inputs" rows={definition.inputs.map((input) => ({ name: input.name, type: typeName(input) }))} />
      <Sockets title="Outputs" rows={definition.outputs.map((output) => ({ name: output.name, type: output.type }))} />
    </div>
  );
}

function typeName(input: InputDefinition): string {
  return input.kind === "combo" ? "COMBO" : input.type;
}

function Sockets({ title, rows }: { title: string; rows: readonly { name: string; type: string }[] }) {
  if (rows.length === 0) return null;
  return (
    <>
      <h4 className="sl-node-preview__heading">{title}</h4>
      <ul className="sl-node-preview__sockets">
        {rows.map((row, index) => (
          <li key={`${index}${row.name}`}>
            <span className="sl-socket-dot" style={{ background: socketColor(row.type) }} />
            <span className="sl-node-preview__name">{row.name}</span>
            <span className="sl-node-preview__type">{row.type}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
