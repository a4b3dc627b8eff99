import type { InputDefinition } from "@/graph/definitions";
import { useWidget } from "../useWidget";
import { Frame } from "./Frame";

/** A colour, by the browser's own picker or as text. */
export function ColorWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const text = String(widget.value ?? "");
  const name = input.label ?? input.name;
  const hex = /^#[\da-f]{6}$/i.test(text) ? text : /^#[\da-f]{3}$/i.test(text) ? `#${[...text.slice(1)].map((one) => one + one).join("")}` : "#000000";
  return (
    <Frame input={input} given={widget.given} problem={widget.problem}>
      <input className="sl-color-text" aria-label={`${name} as text`} value={text} onChange={(event) => widget.set(event.target.value)} onBlur={widget.done} />
      <input className="sl-color" type="color" aria-label={name} value={hex} onChange={(event) => widget.set(event.target.value)} onBlur={widget.done} />
    </Frame>
  );
}
