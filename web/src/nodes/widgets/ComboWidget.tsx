import { lazy, Suspense, useRef, useState } from "react";
import { Icon } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import type { Json } from "@/graph/types";
import { useWidget } from "../useWidget";
import { FileField } from "./FileField";
import { Frame } from "./Frame";

const ComboList = lazy(() => import("./ComboList").then((module) => ({ default: module.ComboList })));

/** A choice from a list, with search. Lists of files also take a new file. */
export function ComboWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const choices = input.choices ?? [];
  const shown = Array.isArray(widget.value) ? widget.value.join(", ") : String(widget.value ?? "");
  const step = (by: number): void => {
    if (input.multiSelect || choices.length === 0) return;
    const at = choices.findIndex((one) => one === widget.value);
    widget.set(choices[Math.min(Math.max(at + by, 0), choices.length - 1)] as Json);
  };
  return (
    <Frame input={input} given={widget.given} problem={widget.problem} className="sl-widget-combo">
      <button
        ref={button}
        type="button"
        className="sl-combo"
        role="combobox"
        aria-expanded={open}
        aria-haspopup="listbox"
        aria-label={input.label ?? input.name}
        aria-invalid={widget.problem !== null || undefined}
        onClick={() => setOpen(!open)}
        onBlur={widget.done}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
          event.preventDefault();
          event.stopPropagation();
          if (event.altKey) setOpen(true);
          else step(event.key === "ArrowDown" ? 1 : -1);
        }}
      >
        <span className="sl-combo-text">{shown || "choose…"}</span>
        <Icon name="chevronDown" size={12} />
      </button>
      {input.upload && <FileField input={input} onFile={widget.set} />}
      {open && (
        <Suspense>
          <ComboList
            anchor={button}
            input={input}
            value={widget.value}
            onChoose={(value) => {
              widget.set(value);
              if (!input.multiSelect) setOpen(false);
            }}
            onClose={() => {
              setOpen(false);
              widget.done();
              button.current?.focus();
            }}
          />
        </Suspense>
      )}
    </Frame>
  );
}
