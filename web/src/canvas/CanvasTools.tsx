import { useStore, type ReactFlowState } from "@xyflow/react";
import { IconButton } from "@/app/ui";
import { setSetting, useSetting } from "@/app/settings/settings";
import { useCanvas, useUi } from "./context";

const percentOf = (state: ReactFlowState) => Math.round(state.transform[2] * 100);

/** Tools and zoom, in the corner of the canvas. */
export function CanvasTools() {
  const { handle, ui } = useCanvas();
  const tool = useUi((state) => state.tool);
  const locked = useUi((state) => state.locked);
  const minimap = useSetting("canvas.minimap");
  const links = useSetting("links.visible");
  return (
    <div className="sl-tools" role="toolbar" aria-label="Canvas tools">
      <IconButton icon="hand" label="Pan" size="sm" active={tool === "pan"} tooltipSide="top" onClick={() => ui.setState({ tool: "pan" })} />
      <IconButton icon="pointer" label="Select with a box" size="sm" active={tool === "select"} tooltipSide="top" keys="Ctrl+drag" onClick={() => ui.setState({ tool: "select" })} />
      <IconButton icon="lasso" label="Select with a lasso" size="sm" active={tool === "lasso"} tooltipSide="top" keys="Alt+Shift+drag" onClick={() => ui.setState({ tool: "lasso" })} />
      <span className="sl-tools-gap" />
      <IconButton icon="minus" label="Zoom out" size="sm" tooltipSide="top" keys="Alt+-" onClick={() => handle.zoomOut()} />
      <ZoomLevel onClick={() => handle.resetView()} />
      <IconButton icon="plus" label="Zoom in" size="sm" tooltipSide="top" keys="Alt+=" onClick={() => handle.zoomIn()} />
      <IconButton icon="fit" label="Fit view" size="sm" tooltipSide="top" keys="." onClick={() => handle.fitView(true)} />
      <span className="sl-tools-gap" />
      <IconButton icon={links ? "spline" : "unlink"} label={links ? "Hide links" : "Show links"} size="sm" active={!links} tooltipSide="top" onClick={() => setSetting("links.visible", !links)} />
      <IconButton icon="minimap" label={minimap ? "Hide minimap" : "Show minimap"} size="sm" active={minimap} tooltipSide="top" keys="Alt+M" onClick={() => setSetting("canvas.minimap", !minimap)} />
      <IconButton icon={locked ? "lock" : "unlock"} label={locked ? "Unlock canvas" : "Lock canvas"} size="sm" active={locked} tooltipSide="top" keys={locked ? "V" : "H"} onClick={() => handle.toggleLock()} />
    </div>
  );
}

function ZoomLevel({ onClick }: { onClick: () => void }) {
  const percent = useStore(percentOf);
  return (
    <button type="button" className="sl-zoom-level" aria-label={`Zoom ${percent} percent. Set to 100 percent`} onClick={onClick}>
      {percent}%
    </button>
  );
}
