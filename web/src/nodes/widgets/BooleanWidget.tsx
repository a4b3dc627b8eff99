import type { InputDefinition } from "@/graph/definitions";
import { useWidget } from "../useWidget";
import { Frame } from "./Frame";

/** A switch. */
export function BooleanWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const on = widget.value === true;
  const word = on ? (input.labelOn ?? "on") : (input.labelOff ?? "off");
  return (
    <Frame input={input} given={widget.given} problem={widget.problem}>
      <button
        type="button"
        role="switch"
        className="sl-toggle"
        aria-checked={on}
        aria-label={input.label ?? input.name}
        onClick={() => {
          widget.set(!on);
          widget.done();
        }}
      >
        <span className="sl-toggle-word">{word}</span>
        <span className="sl-toggle-track" />
      </button>
    </Frame>
  );
}
