import { COLORS, COLOR_NAMES, setColor } from "@/canvas/actions";
import { currentGraph, type DocumentStore } from "@/graph/store";
import { useDocument } from "@/workflows/workspace";

/** Colours for the selected nodes. */
export function ColorSwatches({ store }: { store: DocumentStore }) {
  const current = useDocument(store, (state) => {
    const [first] = state.selection.nodes;
    return first === undefined ? null : (currentGraph(state).nodes[first]?.bgcolor ?? null);
  });
  return (
    <div className="sl-swatches" role="group" aria-label="Colour">
      <button type="button" className="sl-swatch" style={{ background: "var(--node-bg)" }} aria-label="No colour" title="No colour" aria-pressed={current === null} onClick={() => setColor(store, null)} />
      {COLOR_NAMES.map((name) => (
        <button key={name} type="button" className="sl-swatch" style={{ background: COLORS[name].bgcolor }} aria-label={name} title={name} aria-pressed={current === COLORS[name].bgcolor} onClick={() => setColor(store, name)} />
      ))}
    </div>
  );
}
