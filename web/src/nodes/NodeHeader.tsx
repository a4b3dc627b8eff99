import { Icon } from "@/app/ui";
import { useSetting } from "@/app/settings/settings";
import { useCanvas, useDocument, useUi } from "@/canvas/context";
import type { SceneNode } from "@/canvas/scene";
import { TitleField } from "@/canvas/TitleField";
import { setCollapsed, setTitle } from "@/graph/edits";
import { MODE_BYPASSED, MODE_MUTED } from "@/graph/types";
import { useRunMark } from "@/run";
import { usePromptId } from "./usePromptId";

/** Title, what state the node is in, and the way into a subgraph. */
export function NodeHeader({ node, title }: { node: SceneNode; title: string }) {
  const { store, ui, scene } = useCanvas();
  const editing = useUi((state) => state.editingTitle === node.id);
  const { record, definition } = node;
  const instance = useDocument((state) => Boolean(state.document.graphs[record.type]?.subgraph));
  const { graphId } = scene.get();
  const rename = (text: string | null): void => {
    ui.setState({ editingTitle: null });
    const next = text === "" || text === definition?.title ? null : text;
    if (text !== null && next !== record.title) store.getState().edit("Rename", (draft) => setTitle(draft, graphId, node.id, next));
  };
  return (
    <header className="sl-node-head" data-tip={definition?.doc || undefined} onDoubleClick={() => (instance ? store.getState().enter(node.id) : ui.setState({ editingTitle: node.id }))}>
      <button
        type="button"
        className="sl-node-fold"
        aria-label={record.collapsed ? `Expand ${title}` : `Collapse ${title}`}
        aria-expanded={!record.collapsed}
        tabIndex={-1}
        onDoubleClick={(event) => event.stopPropagation()}
        onClick={() => store.getState().edit(record.collapsed ? "Expand" : "Collapse", (draft) => setCollapsed(draft, graphId, [node.id], !record.collapsed))}
      >
        <Icon name={record.collapsed ? "chevronRight" : "chevronDown"} size={13} />
      </button>
      {editing ? <TitleField label="Title of the node" value={title} placeholder={definition?.title ?? record.type} onDone={rename} /> : <span className="sl-node-title">{title}</span>}
      {!editing && <Badges node={node} instance={instance} />}
    </header>
  );
}

function Badges({ node, instance }: { node: SceneNode; instance: boolean }) {
  const { store } = useCanvas();
  const { record, definition, missing } = node;
  const ids = useSetting("nodes.idBadge");
  const lifeCycle = useSetting("nodes.lifeCycleBadges");
  const mark = useRunMark(usePromptId(node.id));
  return (
    <span className="sl-node-badges">
      {missing && <span className="sl-node-badge" data-kind="danger">missing</span>}
      {record.mode === MODE_MUTED && <span className="sl-node-badge">muted</span>}
      {record.mode === MODE_BYPASSED && <span className="sl-node-badge" data-kind="bypass">bypassed</span>}
      {lifeCycle && definition?.deprecated && <span className="sl-node-badge" data-kind="warning">deprecated</span>}
      {lifeCycle && definition?.experimental && <span className="sl-node-badge" data-kind="warning">beta</span>}
      {mark && <span className="sl-node-badge" data-kind={mark === "reused" ? "reused" : "ran"}>{mark}</span>}
      {ids && <span className="sl-node-badge">#{record.id}</span>}
      {record.pinned && <Icon name="pin" size={12} />}
      {instance && (
        <button type="button" className="sl-node-enter" aria-label="Enter subgraph" data-tip="Enter subgraph" tabIndex={-1} onClick={() => store.getState().enter(node.id)}>
          <Icon name="enter" size={13} />
        </button>
      )}
    </span>
  );
}
