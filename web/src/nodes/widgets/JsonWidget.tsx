import { useState } from "react";
import type { InputDefinition } from "@/graph/definitions";
import { readJson } from "@/graph/json";
import { useWidget } from "../useWidget";
import { Frame } from "./Frame";

/** A value of a kind that the editor has no control for, as JSON text. What cannot be read is not taken. */
export function JsonWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const [text, setText] = useState<string | null>(null);
  const shown = text ?? JSON.stringify(widget.value);
  const parsed = text === null ? undefined : readJson(text);
  const take = (): void => {
    if (parsed !== undefined) widget.set(parsed);
    setText(null);
    widget.done();
  };
  return (
    <Frame input={input} given={widget.given} problem={text !== null && parsed === undefined ? "This is no JSON." : widget.problem}>
      <input className="sl-json" aria-label={`${input.label ?? input.name} as JSON`} value={shown} onChange={(event) => setText(event.target.value)} onBlur={take} onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()} />
    </Frame>
  );
}
