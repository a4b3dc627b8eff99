import type { ReactNode } from "react";

export function Section({ title, extra, children }: { title?: string; extra?: ReactNode; children: ReactNode }) {
  return (
    <section className="sl-inspector__section" aria-label={title}>
      {title && (
        <h3>
          {title}
          {extra}
        </h3>
      )}
      {children}
    </section>
  );
}
