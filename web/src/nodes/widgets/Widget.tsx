import { type ComponentType, lazy, memo, type ReactNode, Suspense } from "react";
import type { InputDefinition } from "@/graph/definitions";
import type { Surface } from "@/graph/surfaces";
import { BooleanWidget } from "./BooleanWidget";
import { ColorWidget } from "./ColorWidget";
import { ComboWidget } from "./ComboWidget";
import { JsonWidget } from "./JsonWidget";
import { NumberWidget } from "./NumberWidget";
import { TextWidget } from "./TextWidget";

interface Brought {
  input: InputDefinition;
  ordinary: ReactNode;
}

/** Without the server the part that hosts widgets of packs may not come: then the ordinary ones serve. */
const PackWidget = lazy<ComponentType<Brought>>(() =>
  import("./PackWidget").then(
    (module) => ({ default: module.PackWidget }),
    () => ({ default: ({ ordinary }) => ordinary }),
  ),
);

/** What few nodes have comes when one of them is shown; where it cannot come, the value is text. */
function coming(load: () => Promise<ComponentType<{ input: InputDefinition }>>) {
  return lazy<ComponentType<{ input: InputDefinition }>>(() =>
    load().then(
      (found) => ({ default: found }),
      () => ({ default: Plain }),
    ),
  );
}

const SURFACES: Readonly<Record<Surface, ComponentType<{ input: InputDefinition }>>> = {
  boxes: coming(() => import("./boxes/BoxesWidget").then((module) => module.BoxesWidget)),
  curve: coming(() => import("./curve/CurveWidget").then((module) => module.CurveWidget)),
  range: coming(() => import("./range/RangeWidget").then((module) => module.RangeWidget)),
  recording: coming(() => import("./recording/RecordingWidget").then((module) => module.RecordingWidget)),
  painting: coming(() => import("./painting/PaintingWidget").then((module) => module.PaintingWidget)),
  camera: coming(() => import("./camera/CameraWidget").then((module) => module.CameraWidget)),
  code: coming(() => import("./code/CodeWidget").then((module) => module.CodeWidget)),
};

/** The control for one input: what a pack brings for it, else by its kind. */
export const Widget = memo(function Widget({ input }: { input: InputDefinition }) {
  if (input.widget === undefined) return <Ordinary input={input} />;
  return (
    <Suspense>
      <PackWidget input={input} ordinary={<Ordinary input={input} />} />
    </Suspense>
  );
});

function Ordinary({ input }: { input: InputDefinition }) {
  const Drawn = input.surface && SURFACES[input.surface];
  if (Drawn === undefined) return <Plain input={input} />;
  return (
    <Suspense>
      <Drawn input={input} />
    </Suspense>
  );
}

function Plain({ input }: { input: InputDefinition }) {
  switch (input.kind) {
    case "int":
    case "float":
      return <NumberWidget input={input} />;
    case "string":
      return <TextWidget input={input} />;
    case "boolean":
      return <BooleanWidget input={input} />;
    case "combo":
      return <ComboWidget input={input} />;
    case "color":
      return <ColorWidget input={input} />;
    default:
      return <JsonWidget input={input} />;
  }
}

export function labelOf(input: InputDefinition): string {
  return input.label ?? input.name;
}
