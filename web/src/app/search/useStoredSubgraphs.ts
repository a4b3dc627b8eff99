import { useEffect, useState } from "react";
import { refreshSubgraphs, subgraphNames } from "@/workflows/subgraphFiles";

/** Names of the subgraphs in the user's folder. */
export function useStoredSubgraphs(): readonly string[] {
  const [names, setNames] = useState(subgraphNames);
  useEffect(() => {
    let mounted = true;
    void refreshSubgraphs().then((found) => mounted && setNames(found));
    return () => {
      mounted = false;
    };
  }, []);
  return names;
}
