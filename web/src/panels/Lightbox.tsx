/** Results over the whole page: zoom, arrows, Escape. */
import { Dialog } from "radix-ui";
import { useRef, type KeyboardEvent } from "react";
import { viewUrl } from "@/api/calls";
import { IconButton } from "@/app/ui";
import { downloadFile } from "./download";
import { loadJob, type OpenWorkflow } from "./jobWorkflow";
import { chooseForCompare, useOverlays, type LightboxItem } from "./overlays";
import { useZoom } from "./useZoom";
import "./panels.css";

const close = () => useOverlays.setState({ lightbox: null });

export function Lightbox({ onLoadWorkflow }: { onLoadWorkflow?: OpenWorkflow | undefined }) {
  const shown = useOverlays((state) => state.lightbox);
  return (
    <Dialog.Root open={shown !== null} onOpenChange={(open) => open || close()}>
      <Dialog.Portal>
        <Dialog.Overlay className="sl-lightbox__backdrop" />
        {shown && <Stage items={shown.items} index={shown.index} onLoadWorkflow={onLoadWorkflow} />}
      </Dialog.Portal>
    </Dialog.Root>
  );
}

interface StageProps {
  items: readonly LightboxItem[];
  index: number;
  onLoadWorkflow?: OpenWorkflow | undefined;
}

function Stage({ items, index, onLoadWorkflow }: StageProps) {
  const frame = useRef<HTMLDivElement>(null);
  const item = items[index];
  const { zoom, zoomBy, reset, onPointerDown, style } = useZoom(frame, index);
  const chosen = useOverlays((state) => state.chosen);
  if (!item) return null;
  const go = (by: number) => useOverlays.setState({ lightbox: { items, index: (index + by + items.length) % items.length } });
  const onKeyDown = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = {
      ArrowLeft: () => go(-1),
      ArrowRight: () => go(1),
      "+": () => zoomBy(1.5),
      "=": () => zoomBy(1.5),
      "-": () => zoomBy(1 / 1.5),
      "0": reset,
      d: () => downloadFile(item),
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!action || (event.target instanceof HTMLMediaElement && event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    action();
  };
  const compare = () => {
    chooseForCompare(item);
    if (!chosen) close();
    else useOverlays.setState({ lightbox: null });
  };
  return (
    <Dialog.Content className="sl-lightbox" aria-describedby={undefined} onKeyDown={onKeyDown} onOpenAutoFocus={(event) => event.preventDefault()} tabIndex={-1} ref={focusOnMount}>
      <div className="sl-lightbox__bar">
        <Dialog.Title className="sl-lightbox__title">{item.title ?? item.filename}</Dialog.Title>
        {items.length > 1 && (
          <span className="sl-lightbox__count" aria-live="polite">
            {index + 1} of {items.length}
          </span>
        )}
        <span className="sl-lightbox__space" />
        {item.media === "image" && (
          <>
            <IconButton icon="zoomOut" label="Smaller" keys="-" onClick={() => zoomBy(1 / 1.5)} disabled={zoom.scale === 1} />
            <button type="button" className="sl-lightbox__scale" aria-label="Fit to the page" onClick={reset}>
              {zoom.scale === 1 ? "Fit" : `${zoom.scale.toFixed(1)}×`}
            </button>
            <IconButton icon="zoomIn" label="Larger" keys="+" onClick={() => zoomBy(1.5)} />
            <IconButton icon="compare" label={chosen ? "Compare with the chosen picture" : "Choose for comparing"} active={chosen !== null} onClick={compare} />
          </>
        )}
        {item.jobId && (
          <IconButton
            icon="workflow"
            label="Load the workflow that made this"
            onClick={() => {
              close();
              void loadJob(item.jobId ?? "", onLoadWorkflow);
            }}
          />
        )}
        <IconButton icon="external" label="Open in a new browser tab" onClick={() => window.open(viewUrl(item), "_blank", "noopener")} />
        <IconButton icon="download" label="Download" keys="D" onClick={() => downloadFile(item)} />
        <IconButton icon="close" label="Close" keys="Esc" onClick={close} />
      </div>
      <div className={`sl-lightbox__frame ${zoom.scale > 1 ? "is-zoomed" : ""}`} ref={frame} onPointerDown={item.media === "image" ? onPointerDown : undefined} onDoubleClick={(event) => (zoom.scale > 1 ? reset() : zoomBy(3, event.clientX, event.clientY))}>
        <Show item={item} style={item.media === "image" ? style : undefined} />
      </div>
      {items.length > 1 && (
        <>
          <IconButton className="sl-lightbox__prev" size="lg" icon="chevronLeft" label="Previous" onClick={() => go(-1)} tooltipSide="right" />
          <IconButton className="sl-lightbox__next" size="lg" icon="chevronRight" label="Next" onClick={() => go(1)} tooltipSide="left" />
        </>
      )}
    </Dialog.Content>
  );
}

const focusOnMount = (element: HTMLElement | null) => element?.focus({ preventScroll: true });

function Show({ item, style }: { item: LightboxItem; style: React.CSSProperties | undefined }) {
  const url = viewUrl(item);
  if (item.media === "video") return <video key={url} src={url} controls autoPlay loop aria-label={item.filename} />;
  if (item.media === "audio") return <audio key={url} src={url} controls aria-label={item.filename} />;
  if (item.media === "image") return <img src={url} alt={item.filename} style={style} draggable={false} />;
  return (
    <a className="sl-textlink" href={url} download={item.filename}>
      {item.filename}
    </a>
  );
}
