import { useStore, type ReactFlowState } from "@xyflow/react";
import { useSetting } from "@/app/settings/settings";
import { socketColor } from "@/theme/sockets";
import type { Point } from "@/graph/types";
import { useScene, useUi } from "./context";
import { svgPath } from "./curve";
import { endOf, type Scene } from "./scene";
import type { SocketRef } from "./types";
import type { LinkEnd } from "./ui";

const transformOf = (state: ReactFlowState) => state.transform;

/** What a gesture under way shows: the box, the lasso, lines of alignment, the link in hand. */
export function GestureLayer() {
  const busy = useUi((ui) => ui.box !== null || ui.lasso !== null || ui.linking !== null || ui.guides.length > 0);
  return busy ? <Gestures /> : null;
}

function Gestures() {
  const [x, y, zoom] = useStore(transformOf);
  const box = useUi((ui) => ui.box);
  const lasso = useUi((ui) => ui.lasso);
  const guides = useUi((ui) => ui.guides);
  const linking = useUi((ui) => ui.linking);
  const end = useUi((ui) => ui.linkEnd);
  return (
    <>
      <svg className="sl-gestures" aria-hidden>
        <g transform={`translate(${x},${y}) scale(${zoom})`}>
          {guides.map((guide) =>
            guide.axis === "x" ? (
              <line key={`x${guide.at}`} className="sl-guide" x1={guide.at} x2={guide.at} y1={guide.from - 12} y2={guide.to + 12} />
            ) : (
              <line key={`y${guide.at}`} className="sl-guide" x1={guide.from - 12} x2={guide.to + 12} y1={guide.at} y2={guide.at} />
            ),
          )}
          {box && <rect className="sl-box" x={box.x} y={box.y} width={box.width} height={box.height} />}
          {lasso && <polygon className="sl-box" points={lasso.map((point) => point.join(",")).join(" ")} />}
          {linking && end && <HeldLink from={linking.from} end={end} />}
        </g>
      </svg>
      {end?.reason && <Reason text={end.reason} left={end.at[0] * zoom + x} top={end.at[1] * zoom + y} />}
    </>
  );
}

function HeldLink({ from, end }: { from: SocketRef; end: LinkEnd }) {
  const scene = useScene();
  const style = useSetting("links.style");
  const start = endOf(scene, from.node, from.side, from.slot);
  if (start === null) return null;
  const tip = landing(scene, end);
  const points: Point[] = from.side === "output" ? [start, tip] : [tip, start];
  return (
    <>
      <path className="sl-held" data-bad={end.reason !== null || undefined} d={svgPath(points, style)} stroke={socketColor(from.type)} />
      <circle className="sl-held-tip" data-bad={end.reason !== null || undefined} cx={tip[0]} cy={tip[1]} r={end.target && !end.reason ? 8 : 5} fill={socketColor(from.type)} />
    </>
  );
}

/** A fitting socket pulls the end of the link to itself. */
function landing(scene: Scene, { target, reason, at }: LinkEnd): Point {
  const place = target && reason === null ? endOf(scene, target.node, target.side, target.slot) : null;
  return place ?? at;
}

function Reason({ text, left, top }: { text: string; left: number; top: number }) {
  return (
    <div className="sl-reason" role="status" style={{ left: left + 16, top: top + 14 }}>
      {text}
    </div>
  );
}
