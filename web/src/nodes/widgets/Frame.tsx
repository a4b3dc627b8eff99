import type { ReactNode } from "react";
import type { InputDefinition } from "@/graph/definitions";

interface FrameProps {
  readonly input: InputDefinition;
  /** What a link or the instance around gives, as text; true where only the run makes it; false where nothing does. */
  readonly given: boolean | string;
  readonly problem: string | null;
  readonly className?: string;
  readonly children: ReactNode;
}

/** The box of a widget of one line: its name on the left, its value on the right. */
export function Frame({ input, given, problem, className = "", children }: FrameProps) {
  return (
    <div className={`sl-widget ${className}`} data-linked={given !== false || undefined} data-problem={problem !== null || undefined} data-tip={problem ?? input.tooltip}>
      <span className="sl-widget-label" aria-hidden>
        {input.label ?? input.name}
      </span>
      {given === false ? children : <span className="sl-widget-linked">{given === true ? "linked" : given}</span>}
    </div>
  );
}
