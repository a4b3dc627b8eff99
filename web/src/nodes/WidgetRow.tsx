import { memo } from "react";
import type { SceneNode } from "@/canvas/scene";
import type { WidgetRow } from "@/graph/layout";
import { SocketDot } from "./SocketDot";
import { Widget } from "./widgets/Widget";

interface WidgetRowProps {
  readonly node: SceneNode;
  readonly row: WidgetRow;
}

/** A widget with its socket, which shows when it is linked or pointed at. */
export const WidgetRowView = memo(function WidgetRowView({ node, row }: WidgetRowProps) {
  const handle = row.input < 0 ? undefined : node.inputs[row.input];
  return (
    <div className="sl-widget-row nodrag" data-widget={`${node.id}:${row.name}`} style={{ top: row.y, height: row.height }}>
      {handle && (
        <span className="sl-widget-socket" style={{ top: -row.y }}>
          <SocketDot node={node.record} handle={handle} tip={row.definition.tooltip} />
        </span>
      )}
      <Widget input={row.definition} />
    </div>
  );
});
