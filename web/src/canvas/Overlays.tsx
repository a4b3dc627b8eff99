import { lazy, Suspense, type RefObject } from "react";
import { afterPaint } from "@/app/afterPaint";
import { useSetting } from "@/app/settings/settings";
import { Breadcrumbs } from "./Breadcrumbs";
import { CanvasTools } from "./CanvasTools";
import { GestureLayer } from "./GestureLayer";
import { GroupTitle } from "./GroupTitle";
import { LinkInspector } from "./LinkInspector";
import { TipHost } from "./TipHost";
import { useUi } from "./context";

const Minimap = lazy(() => afterPaint().then(() => import("./Minimap")).then((module) => ({ default: module.Minimap })));
const LinkChooser = lazy(() => import("./LinkChooser").then((module) => ({ default: module.LinkChooser })));

/** Everything on top of the graph. Presses on these parts are no business of the canvas. */
export function Overlays({ root }: { root: RefObject<HTMLDivElement | null> }) {
  const minimap = useSetting("canvas.minimap");
  const choosing = useUi((ui) => ui.choosing);
  return (
    <>
      <GestureLayer />
      <GroupTitle />
      <div className="sl-canvas-corner" data-overlay="">
        {minimap && (
          <Suspense>
            <Minimap />
          </Suspense>
        )}
        <CanvasTools />
      </div>
      <Breadcrumbs />
      <LinkInspector />
      <TipHost root={root} />
      {choosing && (
        <Suspense>
          <LinkChooser key={JSON.stringify(choosing)} root={root} />
        </Suspense>
      )}
    </>
  );
}
