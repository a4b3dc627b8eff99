import { Dialog } from "radix-ui";
import { useEffect, useId, useRef, useState, type KeyboardEvent } from "react";
import { addFromSearch } from "@/canvas/actions";
import { activeCanvas } from "@/canvas/handle";
import type { SearchRequest } from "@/canvas/types";
import { socketColor } from "@/theme/sockets";
import { addStoredSubgraph } from "@/workflows/subgraphFiles";
import { activeStore } from "@/workflows/workspace";
import { getSetting, setSetting, useSetting } from "../settings/settings";
import { Badge, Icon, Kbd } from "../ui";
import { NodePreview } from "./NodePreview";
import { closeNodeSearch, useNodeSearch } from "./searchState";
import { useNodeResults, type SearchResult } from "./useNodeResults";

const WIDTH = 660;
const HEIGHT = 430;

/** The search for nodes to add: opened by a double click, Tab, or a link dropped on the empty canvas. */
export function NodeSearch() {
  const { request, fromPointer } = useNodeSearch();
  if (!request) return null;
  return (
    <Dialog.Root open onOpenChange={(open) => !open && closeNodeSearch()}>
      <Dialog.Portal>
        <Dialog.Overlay className="sl-search-overlay" />
        <Dialog.Content className="sl-node-search" style={place(request, fromPointer)} aria-describedby={undefined} onCloseAutoFocus={(event) => event.preventDefault()}>
          <Dialog.Title className="sl-visually-hidden">Add a node</Dialog.Title>
          <Search request={request} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** The dialog's own way back comes a moment after it is gone. Keys that are pressed in that moment must not be lost. */
function useWayBackToCanvas(): void {
  useEffect(() => () => activeCanvas()?.focus(), []);
}

/** At the pointer, but whole inside the window; in the middle when opened by keyboard. */
function place({ client }: SearchRequest, fromPointer: boolean) {
  const width = Math.min(WIDTH, window.innerWidth - 24);
  const height = Math.min(HEIGHT, window.innerHeight - 24);
  const left = fromPointer ? client.x - 24 : (window.innerWidth - width) / 2;
  const top = fromPointer ? client.y - 20 : window.innerHeight * 0.16;
  return { width, height, left: Math.max(12, Math.min(left, window.innerWidth - width - 12)), top: Math.max(12, Math.min(top, window.innerHeight - height - 12)) };
}

function choose(request: SearchRequest, result: SearchResult): void {
  const store = activeStore();
  closeNodeSearch();
  if (!store) return;
  if (result.kind === "subgraph") {
    void addStoredSubgraph(result.name, request.at);
    return;
  }
  const { type } = result.found.definition;
  addFromSearch(store, request, type);
  const uses = getSetting("search.uses");
  setSetting("search.uses", { ...uses, [type]: (uses[type] ?? 0) + 1 });
}

function Search({ request }: { request: SearchRequest }) {
  useWayBackToCanvas();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [filtered, setFiltered] = useState(true);
  const link = filtered ? (request.link ?? null) : null;
  const results = useNodeResults(text, link);
  const chosen = results[Math.min(at, results.length - 1)];
  const id = useId();
  const plain = filtered ? request : { ...request, link: undefined };

  const keys = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setAt((before) => Math.max(0, Math.min(results.length - 1, before + step)));
    } else if (event.key === "Enter" && chosen) {
      event.preventDefault();
      choose(plain, chosen);
    } else if (event.key === "Backspace" && text === "" && request.link) setFiltered(false);
  };

  return (
    <>
      <div className="sl-node-search__field">
        <Icon name="search" />
        {link && (
          <button type="button" className="sl-chip" onClick={() => setFiltered(false)} aria-label={`Only nodes that fit ${link.type}; show all`}>
            <span className="sl-socket-dot" style={{ background: socketColor(link.type) }} />
            {link.side === "output" ? "takes" : "gives"} {link.type}
            <Icon name="close" size={12} />
          </button>
        )}
        <input
          role="combobox"
          aria-label="Search nodes"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={chosen ? `${id}-${results.indexOf(chosen)}` : undefined}
          aria-autocomplete="list"
          autoComplete="off"
          spellCheck={false}
          placeholder="Search nodes…"
          value={text}
          autoFocus
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={keys}
        />
        <Kbd keys="Escape" />
      </div>
      <div className="sl-node-search__body">
        <Results id={id} results={results} at={Math.min(at, results.length - 1)} onPoint={setAt} onChoose={(result) => choose(plain, result)} />
        <div className="sl-node-search__preview" aria-live="off">
          {chosen?.kind === "node" && <NodePreview definition={chosen.found.definition} showId />}
          {chosen?.kind === "subgraph" && <p className="sl-hint">A subgraph from your library.</p>}
        </div>
      </div>
    </>
  );
}

interface ResultsProps {
  id: string;
  results: readonly SearchResult[];
  at: number;
  onPoint: (at: number) => void;
  onChoose: (result: SearchResult) => void;
}

function Results({ id, results, at, onPoint, onChoose }: ResultsProps) {
  const list = useRef<HTMLUListElement>(null);
  const showCategory = useSetting("search.showCategory");
  const showId = useSetting("search.showId");
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);
  if (results.length === 0) return <p className="sl-node-search__none">No node fits. Other words, or fewer?</p>;
  return (
    <ul className="sl-node-search__list" role="listbox" id={`${id}-list`} aria-label="Nodes" ref={list}>
      {results.map((result, index) => (
        <li
          key={result.key}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === at}
          data-node-type={result.kind === "node" ? result.key : undefined}
          className="sl-node-search__item"
          onPointerMove={() => index !== at && onPoint(index)}
          onClick={() => onChoose(result)}
        >
          {result.kind === "node" ? <Marked text={result.found.definition.title} marks={result.found.marks} /> : result.name}
          {result.kind === "subgraph" && <Badge kind="accent">your subgraph</Badge>}
          {result.kind === "node" && showId && <code className="sl-node-search__id">{result.key}</code>}
          {result.kind === "node" && showCategory && <span className="sl-node-search__category">{result.found.definition.category.split("/").at(-1)}</span>}
        </li>
      ))}
    </ul>
  );
}

function Marked({ text, marks }: { text: string; marks: readonly number[] }) {
  const [from, to] = marks;
  if (from === undefined || to === undefined) return <span>{text}</span>;
  return (
    <span>
      {text.slice(0, from)}
      <mark>{text.slice(from, to)}</mark>
      {text.slice(to)}
    </span>
  );
}
