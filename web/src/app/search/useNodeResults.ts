import { useMemo } from "react";
import type { SocketRef } from "@/canvas/types";
import { nodesFor } from "@/graph/matching";
import { useDefinitions } from "@/workflows/definitions";
import { useSetting } from "../settings/settings";
import { buildIndex, searchNodes, type FoundNode } from "./nodeIndex";
import { useStoredSubgraphs } from "./useStoredSubgraphs";

export type SearchResult = { kind: "node"; key: string; found: FoundNode } | { kind: "subgraph"; key: string; name: string };

/** Results of the node search as it is typed. */
export function useNodeResults(text: string, link: SocketRef | null): readonly SearchResult[] {
  const definitions = useDefinitions((state) => state.definitions);
  const uses = useSetting("search.uses");
  const deprecated = useSetting("search.deprecated");
  const experimental = useSetting("search.experimental");
  const stored = useStoredSubgraphs();
  const index = useMemo(() => buildIndex(definitions), [definitions]);
  const fitting = useMemo(() => (link ? new Map(nodesFor(definitions, { type: link.type, side: link.side }).map(({ definition }, place) => [definition.type, place])) : null), [definitions, link]);
  return useMemo(() => {
    const found = searchNodes(index, text, { uses, deprecated, experimental, only: fitting, order: fitting });
    const nodes = found.map((one): SearchResult => ({ kind: "node", key: one.definition.type, found: one }));
    const query = text.trim().toLowerCase();
    const own = link || query === "" ? [] : stored.filter((name) => name.toLowerCase().includes(query));
    return [...nodes, ...own.map((name): SearchResult => ({ kind: "subgraph", key: `subgraph:${name}`, name }))];
  }, [index, text, uses, deprecated, experimental, fitting, stored, link]);
}
