import { lazy, Suspense, useState } from "react";
import { afterPaint } from "@/app/afterPaint";
import type { SceneNode } from "@/canvas/scene";
import { inputOf } from "@/graph/definitions";
import { scrollsWhenFocused } from "./scrolling";
import { useWidget } from "./useWidget";
import { TextWidget } from "./widgets/TextWidget";
import type { InputDefinition } from "@/graph/definitions";

/** Fetched after the first picture, which shows the text as it is written. */
const Markdown = lazy(() => afterPaint().then(() => import("./MarkdownText")));

/** A note: its text, rendered if it is Markdown. A double click, or Enter, edits it. */
export function NoteBody({ node }: { node: SceneNode }) {
  const input = inputOf(node.definition, "text");
  if (input === undefined) return null;
  return node.record.type === "MarkdownNote" ? <MarkdownNote input={input} /> : <div className="sl-note"><TextWidget input={input} bare /></div>;
}

function MarkdownNote({ input }: { input: InputDefinition }) {
  const { value } = useWidget(input);
  const [editing, setEditing] = useState(false);
  const text = String(value ?? "");
  if (editing) {
    return (
      <div className="sl-note" onBlur={() => setEditing(false)}>
        <TextWidget input={input} bare focus />
      </div>
    );
  }
  return (
    <div className="sl-note sl-markdown" tabIndex={0} {...scrollsWhenFocused} onDoubleClick={(event) => {
      event.stopPropagation();
      setEditing(true);
    }}>
      <Suspense fallback={<pre>{text}</pre>}>
        {text ? <Markdown text={text} /> : <p className="sl-muted">Double click to write</p>}
      </Suspense>
      <button type="button" className="sl-visually-hidden" onClick={() => setEditing(true)}>
        Edit note
      </button>
    </div>
  );
}
