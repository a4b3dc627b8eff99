import "./nodes.css";
import type { NodeProps } from "@xyflow/react";
import { memo, useMemo, useSyncExternalStore } from "react";
import { useCanvas, useDocument } from "@/canvas/context";
import type { SceneNode } from "@/canvas/scene";
import { MODE_BYPASSED, MODE_MUTED } from "@/graph/types";
import { packOfMissing, usePacks, whyMissing } from "@/packs/report";
import { useNodeRunPart } from "@/run";
import { NodeContext, type NodePlace } from "./context";
import { NodeErrors } from "./NodeErrors";
import { NodeHeader } from "./NodeHeader";
import { NodePreview } from "./NodePreview";
import { NodeProgress } from "./NodeProgress";
import { NoteBody } from "./NoteBody";
import { SocketDot } from "./SocketDot";
import { SocketRowView } from "./SocketRow";
import { usePromptId } from "./usePromptId";
import { useUploadTarget } from "./useUploadTarget";
import { WidgetRowView } from "./WidgetRow";

const NOTES = new Set(["Note", "MarkdownNote"]);

/** One node of the canvas. React Flow places it; all it shows comes from the document and the run, by its id. */
export const NodeView = memo(function NodeView({ id }: NodeProps) {
  const { store, scene } = useCanvas();
  const node = useSyncExternalStore(scene.subscribe, () => scene.get().byId.get(id));
  const graphId = useDocument((state) => state.scope.graphId);
  const place = useMemo<NodePlace>(() => ({ store, graphId, id }), [store, graphId, id]);
  if (node === undefined) return null;
  return (
    <NodeContext.Provider value={place}>
      {node.record.type === "Reroute" ? <RerouteNode node={node} /> : <PlainNode node={node} />}
    </NodeContext.Provider>
  );
});

function useLook(node: SceneNode) {
  const selected = useDocument((state) => state.selection.nodes.has(node.id));
  const run = useNodeRunPart(usePromptId(node.id), (one) => one?.state);
  const { mode } = node.record;
  return {
    "data-node": node.id,
    "data-selected": selected || undefined,
    "data-run": run,
    "data-mode": mode === MODE_MUTED ? "muted" : mode === MODE_BYPASSED ? "bypassed" : undefined,
    "data-missing": node.missing || undefined,
    "data-pinned": node.record.pinned || undefined,
    "aria-current": selected || undefined,
    tabIndex: -1,
  };
}

function PlainNode({ node }: { node: SceneNode }) {
  const { record, geometry, definition, missing } = node;
  const look = useLook(node);
  const upload = useUploadTarget(node);
  const note = NOTES.has(record.type);
  const title = record.title ?? definition?.title ?? record.type;
  const style = {
    width: geometry.width,
    height: geometry.height,
    ...(record.color ? { "--node-head": record.color } : {}),
    ...(record.bgcolor ? { "--node-body": record.bgcolor } : {}),
  } as React.CSSProperties;
  return (
    <div
      {...look}
      {...upload}
      className="sl-node nopan"
      data-collapsed={record.collapsed || undefined}
      data-note={note || undefined}
      data-colored={record.bgcolor ? "" : undefined}
      role="group"
      aria-roledescription="node"
      aria-label={labelOf(title, node)}
      style={style}
    >
      <NodeHeader node={node} title={title} />
      <NodeProgress id={node.id} />
      {record.collapsed
        ? geometry.handles.map((handle) => <SocketDot key={handle.id} node={record} handle={handle} />)
        : note
          ? <NoteBody node={node} />
          : <Rows node={node} />}
      {missing && hasRoom(node) && <MissingReason node={node} />}
      {!record.collapsed && !note && <NodePreview node={node} />}
      {!record.collapsed && <div className="sl-node-resize" data-resize="" aria-hidden />}
      <NodeErrors id={node.id} />
    </div>
  );
}

function MissingReason({ node: { record } }: { node: SceneNode }) {
  const reason = usePacks((state) => whyMissing(packOfMissing(record.type, record.properties, state)));
  return <div className="sl-node-missing">{reason ?? "Not installed. Its data are kept."}</div>;
}

/** Whether a line fits below the sockets; the badge in the title says it in any case. */
function hasRoom({ geometry }: SceneNode): boolean {
  const last = geometry.rows.at(-1);
  return geometry.height - (last ? last.y + last.height : geometry.titleHeight) >= 22;
}

function labelOf(title: string, { record, missing }: SceneNode): string {
  const state = record.mode === MODE_MUTED ? ", muted" : record.mode === MODE_BYPASSED ? ", bypassed" : "";
  return `${title}, node ${record.id}${state}${missing ? ", type not installed" : ""}`;
}

function Rows({ node }: { node: SceneNode }) {
  return node.geometry.rows.map((row) =>
    row.kind === "sockets" ? (
      <SocketRowView key={`s${row.input}-${row.output}`} node={node} row={row} />
    ) : (
      <WidgetRowView key={row.name} node={node} row={row} />
    ),
  );
}

function RerouteNode({ node }: { node: SceneNode }) {
  const look = useLook(node);
  const { geometry, record } = node;
  return (
    <div {...look} className="sl-node sl-reroute nopan" role="group" aria-roledescription="reroute" aria-label={`Reroute, node ${record.id}`} style={{ width: geometry.width, height: geometry.height }}>
      {geometry.handles.map((handle) => (
        <SocketDot key={handle.id} node={record} handle={handle} />
      ))}
      {record.title && <span className="sl-reroute-title">{record.title}</span>}
    </div>
  );
}
