import { useMemo, useState, type DragEvent } from "react";
import { activeCanvas } from "@/canvas/handle";
import type { NodeDefinition } from "@/graph/definitions";
import { useDefinitions } from "@/workflows/definitions";
import { addStoredSubgraph } from "@/workflows/subgraphFiles";
import { useSetting, setSetting } from "../settings/settings";
import { buildIndex, searchNodes } from "../search/nodeIndex";
import { NodePreview } from "../search/NodePreview";
import { Badge, EmptyState, Icon, IconButton, TextField, Tooltip, classes } from "../ui";
import { NODE_DRAG, addAtCentre } from "./addAtCentre";
import { useStoredSubgraphs } from "../search/useStoredSubgraphs";

/** All nodes by category: click or drag to add. */
export function NodeLibrary() {
  const [text, setText] = useState("");
  const definitions = useDefinitions((state) => state.definitions);
  const state = useDefinitions((store) => store.state);
  const deprecated = useSetting("search.deprecated");
  const experimental = useSetting("search.experimental");
  const bookmarks = useSetting("library.bookmarks");
  const index = useMemo(() => buildIndex(definitions), [definitions]);
  const found = useMemo(() => searchNodes(index, text, { deprecated, experimental, limit: Number.POSITIVE_INFINITY }).map((one) => one.definition), [index, text, deprecated, experimental]);
  const tree = useMemo(() => byCategory(found), [found]);
  const marked = bookmarks.flatMap((type) => definitions.get(type) ?? []);
  const searching = text.trim() !== "";
  return (
    <>
      <div className="sl-panel__tools">
        <TextField label="Search nodes" hideLabel icon="search" clearable placeholder="Search nodes…" value={text} onChange={setText} />
      </div>
      <div className="sl-panel__scroll">
        {!searching && marked.length > 0 && <Group category={{ ...emptyCategory("Bookmarks"), nodes: marked, count: marked.length }} open />}
        {searching ? <Nodes nodes={found.slice(0, 60)} /> : sorted(tree).map((category) => <Group key={category.name} category={category} />)}
        {!searching && <Subgraphs />}
        {found.length === 0 && <EmptyState icon="boxes" title={state === "loading" ? "Reading node definitions…" : searching ? "No node fits" : "No nodes"} text={state === "failed" ? "The server does not answer." : undefined} />}
      </div>
    </>
  );
}

interface Category {
  name: string;
  nodes: NodeDefinition[];
  inner: Map<string, Category>;
  /** Nodes in it and below. */
  count: number;
}

function emptyCategory(name: string): Category {
  return { name, nodes: [], inner: new Map(), count: 0 };
}

/** Nodes as a tree along their categories, `a/b`. */
function byCategory(nodes: readonly NodeDefinition[]): Category {
  const root = emptyCategory("");
  for (const node of nodes) {
    let place = root;
    for (const part of (node.category || "other").split("/")) {
      const next = place.inner.get(part) ?? emptyCategory(part);
      place.inner.set(part, next);
      next.count += 1;
      place = next;
    }
    place.nodes.push(node);
  }
  return root;
}

/** In order of the alphabet; names that begin with an underscore are for insiders and come last. */
function sorted(category: Category): Category[] {
  const last = (name: string) => (name.startsWith("_") ? 1 : 0);
  return [...category.inner.values()].sort((a, b) => last(a.name) - last(b.name) || a.name.localeCompare(b.name));
}

function Group({ category, open: openAtFirst = false }: { category: Category; open?: boolean }) {
  const [open, setOpen] = useState(openAtFirst);
  return (
    <section>
      <button type="button" className="sl-tree__group" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "chevronDown" : "chevronRight"} size={14} />
        {category.name}
        <Badge>{category.count}</Badge>
      </button>
      {open && (
        <div className="sl-tree__inner">
          {sorted(category).map((inner) => (
            <Group key={inner.name} category={inner} />
          ))}
          <Nodes nodes={[...category.nodes].sort((a, b) => a.title.localeCompare(b.title))} />
        </div>
      )}
    </section>
  );
}

function Nodes({ nodes }: { nodes: readonly NodeDefinition[] }) {
  return (
    <ul className="sl-tree__items">
      {nodes.map((definition) => (
        <NodeRow key={definition.type} definition={definition} />
      ))}
    </ul>
  );
}

function NodeRow({ definition }: { definition: NodeDefinition }) {
  const bookmarks = useSetting("library.bookmarks");
  const marked = bookmarks.includes(definition.type);
  const drag = (event: DragEvent) => {
    event.dataTransfer.setData(NODE_DRAG, definition.type);
    event.dataTransfer.effectAllowed = "copy";
  };
  const toggle = () => setSetting("library.bookmarks", marked ? bookmarks.filter((type) => type !== definition.type) : [...bookmarks, definition.type]);
  return (
    <li className="sl-tree__item">
      <Tooltip side="right" content={<NodePreview definition={definition} />}>
        <button type="button" className="sl-tree__button" draggable onDragStart={drag} onClick={() => addAtCentre(definition.type)} data-node-type={definition.type}>
          <span className="sl-tree__name">{definition.title}</span>
          {definition.deprecated && <Badge kind="warning">old</Badge>}
          {definition.experimental && <Badge kind="info">beta</Badge>}
        </button>
      </Tooltip>
      <IconButton className={classes("sl-tree__side", marked && "is-active")} icon="star" size="sm" label={marked ? `Remove ${definition.title} from the bookmarks` : `Bookmark ${definition.title}`} aria-pressed={marked} onClick={toggle} />
    </li>
  );
}

function Subgraphs() {
  const [open, setOpen] = useState(false);
  const names = useStoredSubgraphs();
  if (names.length === 0) return null;
  return (
    <section>
      <button type="button" className="sl-tree__group" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "chevronDown" : "chevronRight"} size={14} />
        Your subgraphs
        <Badge>{names.length}</Badge>
      </button>
      {open && (
        <ul className="sl-tree__items">
          {names.map((name) => (
            <li key={name} className="sl-tree__item">
              <button type="button" className="sl-tree__button" onClick={() => void addStoredSubgraph(name, activeCanvas()?.center() ?? [0, 0])}>
                <Icon name="box" size={14} />
                <span className="sl-tree__name">{name}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
