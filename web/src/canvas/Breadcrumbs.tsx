import { Icon } from "@/app/ui";
import { breadcrumbs } from "@/graph/scope";
import { useShallow } from "zustand/react/shallow";
import { useCanvas, useDocument } from "./context";

/** The way into the shown subgraph. */
export function Breadcrumbs() {
  const { store } = useCanvas();
  const path = useDocument(useShallow((state) => state.scope.path));
  const document = useDocument((state) => (path.length === 0 ? null : state.document));
  if (document === null) return null;
  const crumbs = breadcrumbs(document, path);
  return (
    <nav className="sl-crumbs" aria-label="Subgraph path" data-overlay="">
      {crumbs.map((crumb, index) => (
        <span key={crumb.path.join(":")}>
          {index > 0 && <Icon name="chevronRight" size={14} />}
          <button type="button" aria-current={index === crumbs.length - 1 ? "location" : undefined} onClick={() => store.getState().goTo(crumb.path)}>
            {crumb.title}
          </button>
        </span>
      ))}
    </nav>
  );
}
