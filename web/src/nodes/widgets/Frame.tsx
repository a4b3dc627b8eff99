import type { ReactNode } from "react";
import type { InputDefinition } from "@/graph/definitions";

interface FrameProps {
  readonly input: InputDefinition;
  readonly linked: boolean;
  readonly problem: string | null;
  readonly className?: string;
  readonly children: ReactNode;
}

/** The box of a widget of one line: its name on the left, its value on the right. */
export function Frame({ input, linked, problem, className = "", children }: FrameProps) {
  return (
    <div className={`sl-widget ${className}`} data-linked={linked || undefined} data-problem={problem !== null || undefined} data-tip={problem ?? input.tooltip}>
      <span className="sl-widget-label" aria-hidden>
        {input.label ?? input.name}
      </span>
      {linked ? <span className="sl-widget-linked">linked</span> : children}
    </div>
  );
}
