import { memo } from "react";
import type { InputDefinition } from "@/graph/definitions";
import { BooleanWidget } from "./BooleanWidget";
import { ColorWidget } from "./ColorWidget";
import { ComboWidget } from "./ComboWidget";
import { JsonWidget } from "./JsonWidget";
import { NumberWidget } from "./NumberWidget";
import { TextWidget } from "./TextWidget";

/** The control for one input, by its kind. */
export const Widget = memo(function Widget({ input }: { input: InputDefinition }) {
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
});

export function labelOf(input: InputDefinition): string {
  return input.label ?? input.name;
}
