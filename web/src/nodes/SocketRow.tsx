import { memo } from "react";
import type { SceneNode } from "@/canvas/scene";
import { inputOf } from "@/graph/definitions";
import type { SocketRow } from "@/graph/layout";
import { SocketDot } from "./SocketDot";

interface SocketRowProps {
  readonly node: SceneNode;
  readonly row: SocketRow;
}

/** An input on the left and an output on the right, side by side. */
export const SocketRowView = memo(function SocketRowView({ node, row }: SocketRowProps) {
  const { record, definition } = node;
  const input = row.input === null ? undefined : record.inputs[row.input];
  const output = row.output === null ? undefined : record.outputs[row.output];
  const declared = input && inputOf(definition, input.name);
  const inputHandle = row.input === null ? undefined : node.inputs[row.input];
  const outputHandle = row.output === null ? undefined : node.outputs[row.output];
  return (
    <>
      <div className="sl-socket-row" style={{ top: row.y, height: row.height }}>
        <span className="sl-socket-label" data-optional={declared && !declared.required ? "" : undefined}>
          {input && (input.label ?? declared?.label ?? input.name)}
        </span>
        <span className="sl-socket-label sl-socket-label-out">{output && (output.label ?? output.name)}</span>
      </div>
      {inputHandle && <SocketDot node={record} handle={inputHandle} tip={declared?.tooltip} />}
      {outputHandle && <SocketDot node={record} handle={outputHandle} tip={row.output === null ? undefined : definition?.outputs[row.output]?.tooltip} />}
    </>
  );
});
