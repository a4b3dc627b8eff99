import "../drawn/surfaces.css";
import { useMemo, useRef, useState } from "react";
import type { InputDefinition } from "@/graph/definitions";
import { type NodeError, useNodeRunPart } from "@/run";
import { useNodePlace } from "../../context";
import { scrollsWhenFocused } from "../../scrolling";
import { usePromptId } from "../../usePromptId";
import { useWidget } from "../../useWidget";
import { placeOf, type Remark, remarksOf } from "./lines";

const LINE = 16;

/** A text that is code: its lines have numbers, and those that the last run complained of are marked. */
export function CodeWidget({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  const text = typeof widget.value === "string" ? widget.value : "";
  const remarks = useRemarks(text);
  const field = useRef<HTMLTextAreaElement>(null);
  const [top, setTop] = useState(0);
  const name = input.label ?? input.name;
  const go = (line: number): void => {
    const element = field.current;
    if (element === null) return;
    element.focus({ preventScroll: true });
    element.setSelectionRange(...placeOf(text, line));
    element.scrollTop = (line - 3) * LINE;
  };
  return (
    <div className="sl-surface sl-code" role="group" aria-label={name} data-linked={widget.linked || undefined}>
      <div className="sl-code-page">
        <Numbers count={text.split("\n").length} remarks={remarks} top={top} />
        <textarea
          ref={field}
          className="nodrag"
          aria-label={name}
          aria-invalid={remarks.length > 0 || undefined}
          data-tip={input.tooltip}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          wrap="off"
          disabled={widget.linked}
          placeholder={widget.given === true ? `${name}: linked` : name}
          value={widget.given === true ? "" : text}
          onChange={(event) => widget.set(event.target.value)}
          onScroll={(event) => setTop(event.currentTarget.scrollTop)}
          onFocus={scrollsWhenFocused.onFocus}
          onBlur={(event) => {
            scrollsWhenFocused.onBlur(event);
            widget.done();
          }}
        />
      </div>
      {remarks.slice(0, 2).map(({ line, text: words }) => (
        <button key={line} type="button" className="sl-code-remark nodrag" data-tip={words} onClick={() => go(line)}>
          line {line}: {words}
        </button>
      ))}
    </div>
  );
}

function Numbers({ count, remarks, top }: { count: number; remarks: readonly Remark[]; top: number }) {
  const said = new Map(remarks.map(({ line, text }) => [line, text]));
  return (
    <div className="sl-code-lines" aria-hidden>
      <div style={{ transform: `translateY(${-top}px)` }}>
        {Array.from({ length: count }, (_, at) => (
          <span key={at} data-line={at + 1} data-wrong={said.has(at + 1) || undefined} data-tip={said.get(at + 1)}>
            {at + 1}
          </span>
        ))}
      </div>
    </div>
  );
}

/** What the last run said of the text, while it is what ran. */
function useRemarks(text: string): readonly Remark[] {
  const place = useNodePlace();
  const inView = usePromptId(place.id);
  const error = useNodeRunPart(place.promptId ?? inView, (run) => run?.error);
  const [held, setHeld] = useState<{ error: NodeError | undefined; text: string }>({ error, text });
  if (held.error !== error) setHeld({ error, text });
  const told = error === undefined || held.text !== text ? "" : [error.message, error.details ?? ""].join("\n");
  return useMemo(() => remarksOf(told), [told]);
}
