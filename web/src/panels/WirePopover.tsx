/** The value of a link: a picture, numbers, text, beside the link. */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { outputThumbnail, type OutputRef } from "@/api/calls";
import type { ValueDescription } from "@/api/schema.gen";
import { IconButton, Spinner } from "@/app/ui";
import { useShownJob } from "@/run/hooks";
import type { LinkSource } from "@/run/inspect";
import { ValueView } from "./ValueView";
import { useWireValue } from "./useWireValue";
import "./wire.css";

interface WirePopoverProps {
  /** From `linkSource`; null: nothing computes the value of this link. */
  source: LinkSource | null;
  /** Where the pointer is, in pixels of the page. */
  anchor: { x: number; y: number };
  onClose: () => void;
  /** Stays, and takes the focus, until it is closed. */
  pinned?: boolean;
}

const GAP = 14;
const EDGE = 8;

export function WirePopover({ source, anchor, onClose, pinned = false }: WirePopoverProps) {
  const job = useShownJob();
  const [item, setItem] = useState(0);
  const output = job && source ? { job, ...source } : null;
  const wire = useWireValue(output, item);
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<{ left: number; top: number } | null>(null);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const fit = () => setPlace(placeFor(anchor, element.offsetWidth, element.offsetHeight));
    fit();
    const observer = new ResizeObserver(fit);
    observer.observe(element);
    return () => observer.disconnect();
  }, [anchor]);

  useEffect(() => {
    if (!pinned) return;
    box.current?.focus({ preventScroll: true });
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    const onPointer = (event: PointerEvent) => event.target instanceof Node && !box.current?.contains(event.target) && onClose();
    window.addEventListener("keydown", onKey);
    window.addEventListener("pointerdown", onPointer, true);
    return () => {
      window.removeEventListener("keydown", onKey);
      window.removeEventListener("pointerdown", onPointer, true);
    };
  }, [pinned, onClose]);

  return createPortal(
    <div
      ref={box}
      className={`sl-wire ${pinned ? "is-pinned" : ""}`}
      role={pinned ? "dialog" : "tooltip"}
      aria-label="Value of the link"
      tabIndex={pinned ? -1 : undefined}
      style={place ?? { left: anchor.x + GAP, top: anchor.y + GAP, visibility: "hidden" }}
    >
      {pinned && <IconButton className="sl-wire__close" size="sm" icon="close" label="Close" onClick={onClose} />}
      <Content job={job} source={source} output={output} wire={wire} item={item} onItem={setItem} pinned={pinned} />
    </div>,
    document.body,
  );
}

/** Beside the pointer, and inside the page. */
export function placeFor(anchor: { x: number; y: number }, width: number, height: number, page = { width: window.innerWidth, height: window.innerHeight }) {
  const right = anchor.x + GAP;
  const left = right + width + EDGE > page.width ? anchor.x - GAP - width : right;
  const top = Math.min(anchor.y + GAP, page.height - height - EDGE);
  return { left: Math.max(EDGE, left), top: Math.max(EDGE, top) };
}

interface ContentProps {
  job: string | null;
  source: LinkSource | null;
  output: OutputRef | null;
  wire: ReturnType<typeof useWireValue>;
  item: number;
  onItem: (item: number) => void;
  pinned: boolean;
}

function Content({ job, source, output, wire, item, onItem, pinned }: ContentProps) {
  if (!job) return <p className="sl-wire__note">Run the workflow to see what this link carries.</p>;
  if (!source || !output) return <p className="sl-wire__note">Nothing computes a value for this link: its source is muted, or has no input to pass on.</p>;
  if (wire.state === "loading") return <Spinner label="Reading the value" />;
  if (wire.state === "missing") return <p className="sl-wire__note">{wire.text}</p>;
  const value: ValueDescription = wire.value;
  return (
    <>
      {value.is_list && (value.length ?? 1) > 1 && (
        <div className="sl-wire__items">
          Item {item + 1} of {value.length}
          {pinned && (
            <>
              <IconButton size="sm" icon="chevronLeft" label="Previous item" disabled={item === 0} onClick={() => onItem(item - 1)} />
              <IconButton size="sm" icon="chevronRight" label="Next item" disabled={item + 1 >= (value.length ?? 1)} onClick={() => onItem(item + 1)} />
            </>
          )}
        </div>
      )}
      <ValueView value={value} picture={value.picture ? outputThumbnail(output, item) : null} />
    </>
  );
}
