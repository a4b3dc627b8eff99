/** Two results, one over the other, with a border that is moved by pointer or keys. */
import { Dialog } from "radix-ui";
import { useState, type PointerEvent } from "react";
import { viewUrl } from "@/api/calls";
import { IconButton } from "@/app/ui";
import { useOverlays, type LightboxItem } from "./overlays";
import "./panels.css";

export function CompareSlider({ a, b }: { a: LightboxItem; b: LightboxItem }) {
  const [at, setAt] = useState(50);
  const follow = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    setAt(Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100)));
  };
  return (
    <div className="sl-compare">
      <div
        className="sl-compare__frame"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          follow(event);
        }}
        onPointerMove={(event) => event.buttons & 1 && follow(event)}
      >
        <img src={viewUrl(b)} alt={`Right: ${b.filename}`} draggable={false} />
        <img className="sl-compare__left" src={viewUrl(a)} alt={`Left: ${a.filename}`} style={{ clipPath: `inset(0 ${100 - at}% 0 0)` }} draggable={false} />
        <span className="sl-compare__border" style={{ left: `${at}%` }} aria-hidden />
      </div>
      <label className="sl-compare__range">
        <span>{a.filename}</span>
        <input type="range" min={0} max={100} step={0.5} value={at} onChange={(event) => setAt(Number(event.target.value))} aria-label="Border between the two pictures" />
        <span>{b.filename}</span>
      </label>
    </div>
  );
}

const close = () => useOverlays.setState({ compare: null });

/** The comparison over the whole page. */
export function CompareView() {
  const shown = useOverlays((state) => state.compare);
  const swap = () => shown && useOverlays.setState({ compare: { a: shown.b, b: shown.a } });
  return (
    <Dialog.Root open={shown !== null} onOpenChange={(open) => open || close()}>
      <Dialog.Portal>
        <Dialog.Overlay className="sl-lightbox__backdrop" />
        <Dialog.Content className="sl-lightbox" aria-describedby={undefined}>
          <div className="sl-lightbox__bar">
            <Dialog.Title className="sl-lightbox__title">Compare</Dialog.Title>
            <span className="sl-lightbox__space" />
            <IconButton icon="refresh" label="Swap the sides" onClick={swap} />
            <IconButton icon="close" label="Close" keys="Esc" onClick={close} />
          </div>
          {shown && <CompareSlider a={shown.a} b={shown.b} />}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
