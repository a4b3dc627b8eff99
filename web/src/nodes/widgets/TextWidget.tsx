import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { getSetting, useSetting } from "@/app/settings/settings";
import type { InputDefinition } from "@/graph/definitions";
import { useNodeRunPart } from "@/run";
import { useNodePlace } from "../context";
import { scrollsWhenFocused } from "../scrolling";
import { usePromptId } from "../usePromptId";
import { useWidget } from "../useWidget";
import { changeWeight } from "./attention";
import { embeddingBefore, embeddingNames } from "./embeddings";
import { Frame } from "./Frame";

interface TextWidgetProps {
  readonly input: InputDefinition;
  /** Without a frame of its own, filling what it stands in. */
  readonly bare?: boolean;
  readonly focus?: boolean;
}

/** Text of one or of many lines. */
export function TextWidget({ input, bare = false, focus = false }: TextWidgetProps) {
  return input.multiline || bare ? <LongText input={input} bare={bare} focus={focus} /> : <ShortText input={input} />;
}

/**
 * What is typed goes to the document at once, as one step until the field is left, so nothing is lost if the page closes.
 * The field keeps its own undo meanwhile.
 */
function ShortText({ input }: { input: InputDefinition }) {
  const widget = useWidget(input);
  return (
    <Frame input={input} given={widget.given} problem={widget.problem}>
      <input
        className="sl-text"
        aria-label={input.label ?? input.name}
        placeholder={input.placeholder}
        value={textOf(widget.value)}
        onChange={(event) => widget.set(event.target.value)}
        onBlur={widget.done}
      />
    </Frame>
  );
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : value === null || value === undefined ? "" : JSON.stringify(value);
}

function LongText({ input, bare, focus }: { input: InputDefinition; bare: boolean; focus: boolean }) {
  const widget = useWidget(input);
  const spellcheck = useSetting("nodes.spellcheck");
  const field = useRef<HTMLTextAreaElement>(null);
  const hints = useHints(field, widget.set);
  const name = input.label ?? input.name;
  useEffect(() => {
    if (focus) field.current?.focus();
  }, [focus]);
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (hints.onKeyDown(event)) return;
    if ((event.ctrlKey || event.metaKey) && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      const { value, selectionStart, selectionEnd } = event.currentTarget;
      const step = getSetting("nodes.attentionStep");
      replace(event.currentTarget, changeWeight(value, selectionStart, selectionEnd, event.key === "ArrowUp" ? step : -step), widget.set);
    }
  };
  return (
    <div className="sl-longtext" data-bare={bare || undefined} data-linked={widget.linked || undefined}>
      <textarea
        ref={field}
        className="nodrag"
        aria-label={name}
        aria-describedby={hints.open ? hints.id : undefined}
        placeholder={widget.given === true ? `${name}: linked` : (input.placeholder ?? name)}
        data-tip={input.tooltip}
        spellCheck={spellcheck}
        disabled={widget.linked}
        value={widget.given === true ? "" : textOf(widget.value)}
        onChange={(event) => {
          widget.set(event.target.value);
          hints.look(event.target);
        }}
        onKeyDown={onKeyDown}
        onFocus={scrollsWhenFocused.onFocus}
        onBlur={(event) => {
          scrollsWhenFocused.onBlur(event);
          hints.close();
          widget.done();
        }}
      />
      {input.dynamicPrompts && <RanText name={input.name} />}
      {hints.open && (
        <ul className="sl-hints nowheel" id={hints.id} role="listbox" aria-label="Embeddings">
          {hints.names.map((one, index) => (
            <li key={one} role="option" aria-selected={index === hints.at} onPointerDown={(event) => {
              event.preventDefault();
              hints.take(one);
            }}>
              {one}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** What the last run made of a text with choices or comments. */
function RanText({ name }: { name: string }) {
  const { id, promptId } = useNodePlace();
  const shown = usePromptId(id);
  const text = useNodeRunPart(promptId ?? shown, (run) => run?.texts?.[name]);
  return text === undefined ? null : (
    <div className="sl-longtext-ran" data-tip={text}>
      ran: {text}
    </div>
  );
}

/** Puts changed text into the field and keeps the marked part marked. */
function replace(field: HTMLTextAreaElement, edit: { text: string; start: number; end: number }, set: (text: string) => void): void {
  set(edit.text);
  requestAnimationFrame(() => field.setSelectionRange(edit.start, edit.end));
}

/** Names of embeddings after `embedding:` is typed. */
function useHints(field: React.RefObject<HTMLTextAreaElement | null>, set: (text: string) => void) {
  const id = useId();
  const [names, setNames] = useState<readonly string[]>([]);
  const [at, setAt] = useState(0);
  const close = (): void => setNames([]);
  const take = (name: string): void => {
    const element = field.current;
    if (element === null) return;
    const { value, selectionStart } = element;
    const found = embeddingBefore(value, selectionStart);
    if (found === null) return;
    const caret = found.from + name.length;
    replace(element, { text: value.slice(0, found.from) + name + value.slice(selectionStart), start: caret, end: caret }, set);
    close();
  };
  return {
    id,
    names,
    at,
    open: names.length > 0,
    close,
    take,
    look(element: HTMLTextAreaElement) {
      const found = embeddingBefore(element.value, element.selectionStart);
      if (found === null) {
        if (names.length > 0) close();
        return;
      }
      const part = found.part.toLowerCase();
      void embeddingNames().then((all) => {
        setAt(0);
        setNames(all.filter((one) => one.toLowerCase().includes(part) && one !== found.part).slice(0, 12));
      });
    },
    /** True if the key was for the list. */
    onKeyDown(event: KeyboardEvent): boolean {
      if (names.length === 0) return false;
      const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.ctrlKey || event.metaKey) return false;
      if (move !== undefined) setAt((at + move + names.length) % names.length);
      else if (event.key === "Enter" || event.key === "Tab") take(names[at] ?? "");
      else if (event.key === "Escape") close();
      else return false;
      event.preventDefault();
      event.stopPropagation();
      return true;
    },
  };
}
