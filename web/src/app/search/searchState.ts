import { create } from "zustand";
import { activeCanvas } from "@/canvas/handle";
import type { SearchRequest } from "@/canvas/types";

export const useNodeSearch = create<{ request: SearchRequest | null; fromPointer: boolean }>(() => ({ request: null, fromPointer: false }));

/** Opens the node search; without a place the node goes to the middle of the view. */
export function openNodeSearch(request: Partial<SearchRequest>): void {
  const at = request.at ?? activeCanvas()?.center() ?? [0, 0];
  const client = request.client ?? { x: window.innerWidth / 2, y: window.innerHeight / 4 };
  useNodeSearch.setState({ request: { ...request, at, client }, fromPointer: request.client !== undefined });
}

export function closeNodeSearch(): void {
  useNodeSearch.setState({ request: null });
}
