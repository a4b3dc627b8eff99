import { useStore, type ReactFlowState } from "@xyflow/react";
import { updateGroup } from "@/graph/edits";
import { useCanvas, useScene, useUi } from "./context";
import { TitleField } from "./TitleField";

const transformOf = (state: ReactFlowState) => state.transform;

/** The field in which a group's title is changed, over the drawn one. */
export function GroupTitle() {
  const id = useUi((ui) => ui.editingGroup);
  return id === null ? null : <Field key={id} id={id} />;
}

function Field({ id }: { id: string }) {
  const { store, ui } = useCanvas();
  const scene = useScene();
  const [x, y, zoom] = useStore(transformOf);
  const group = scene.groups.find((one) => one.record.id === id);
  if (group === undefined) return null;
  const { box, record } = group;
  return (
    <div className="sl-group-title" data-overlay="" style={{ left: box.x * zoom + x, top: box.y * zoom + y, width: Math.max(140, box.width * zoom) }}>
      <TitleField
        label="Title of the group"
        value={record.title}
        onDone={(title) => {
          ui.setState({ editingGroup: null });
          if (title !== null && title !== record.title) store.getState().edit("Rename group", (draft) => updateGroup(draft, scene.graphId, id, { title }));
        }}
      />
    </div>
  );
}
