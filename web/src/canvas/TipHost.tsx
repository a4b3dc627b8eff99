import { type RefObject, useEffect, useState } from "react";
import { useSetting } from "@/app/settings/settings";

interface Tip {
  readonly text: string;
  readonly x: number;
  readonly y: number;
}

/** One tooltip for everything on the canvas with a `data-tip`: hundreds of sockets need no component each. */
export function TipHost({ root }: { root: RefObject<HTMLElement | null> }) {
  const on = useSetting("nodes.tooltips");
  const delay = useSetting("nodes.tooltipDelay");
  const [tip, setTip] = useState<Tip | null>(null);
  useEffect(() => {
    const element = root.current;
    if (element === null || !on) return undefined;
    let timer = 0;
    let over: Element | null = null;
    const close = (): void => {
      window.clearTimeout(timer);
      over = null;
      setTip(null);
    };
    const enter = (event: PointerEvent): void => {
      const found = (event.target as Element).closest("[data-tip]");
      if (found === over) return;
      close();
      over = found;
      const text = found?.getAttribute("data-tip");
      if (!text || event.buttons !== 0) return;
      timer = window.setTimeout(() => setTip({ text, x: event.clientX, y: event.clientY }), delay);
    };
    element.addEventListener("pointerover", enter);
    element.addEventListener("pointerleave", close);
    element.addEventListener("pointerdown", close, true);
    element.addEventListener("keydown", close, true);
    element.addEventListener("wheel", close, { passive: true, capture: true });
    return () => {
      close();
      element.removeEventListener("pointerover", enter);
      element.removeEventListener("pointerleave", close);
      element.removeEventListener("pointerdown", close, true);
      element.removeEventListener("keydown", close, true);
      element.removeEventListener("wheel", close, true);
    };
  }, [root, on, delay]);
  if (tip === null) return null;
  return (
    <div className="sl-tip" role="tooltip" style={{ left: Math.min(tip.x + 12, window.innerWidth - 320), top: Math.min(tip.y + 16, window.innerHeight - 90) }}>
      {tip.text}
    </div>
  );
}
