import type { ReactNode } from "react";
import { classes } from "./classes";

export function Badge({ kind = "neutral", children, title }: { kind?: "neutral" | "accent" | "success" | "warning" | "danger" | "info"; children: ReactNode; title?: string }) {
  return (
    <span className={classes("sl-badge", `sl-badge--${kind}`)} title={title}>
      {children}
    </span>
  );
}
