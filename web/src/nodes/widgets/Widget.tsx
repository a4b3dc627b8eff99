import { type ComponentType, lazy, memo, type ReactNode, Suspense } from "react";
import { drawsBoxes, type InputDefinition } from "@/graph/definitions";
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

/** A canvas is there for few nodes; where its part cannot come, the boxes are text. */
const BoxesWidget = lazy<ComponentType<{ input: InputDefinition }>>(() =>
  import("./boxes/BoxesWidget").then(
    (module) => ({ default: module.BoxesWidget }),
    () => ({ default: JsonWidget }),
  ),
);

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
      if (!drawsBoxes(input)) return <JsonWidget input={input} />;
      return (
        <Suspense>
          <BoxesWidget input={input} />
        </Suspense>
      );
  }
}

export function labelOf(input: InputDefinition): string {
  return input.label ?? input.name;
}
