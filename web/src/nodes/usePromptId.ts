import { useDocument } from "@/canvas/context";
import { promptId } from "@/graph/scope";

/** The id that a node of the shown graph has in the form that runs. */
export function usePromptId(id: string): string {
  return useDocument((state) => promptId(state.scope.path, id));
}
