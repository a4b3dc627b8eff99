import type { InputDefinition } from "@/graph/definitions";
import { useWidget } from "../useWidget";
import { hexOf, typedColor, withHex } from "./colors";
import { Frame } from "./Frame";

/** A colour, by the browser's own picker or as text. */
export function ColorWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const name = input.label ?? input.name;
  return (
    <Frame input={input} given={widget.given} problem={widget.problem}>
      <input className="sl-color-text" aria-label={`${name} as text`} value={String(widget.value ?? "")} onChange={(event) => widget.set(typedColor(event.target.value, widget.value))} onBlur={widget.done} />
      <input className="sl-color" type="color" aria-label={name} value={hexOf(widget.value)} onChange={(event) => widget.set(withHex(widget.value, event.target.value))} onBlur={widget.done} />
    </Frame>
  );
}
