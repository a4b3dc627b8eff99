import { create } from "zustand";
import { toast } from "@/app/ui/toast";

interface MissingState {
  open: boolean;
  name: string;
  types: readonly string[];
}

/** The report on node types that no pack here has. */
export const useMissing = create<MissingState>(() => ({ open: false, name: "", types: [] }));

/** Says that node types are missing; the graph itself is untouched. */
export function showMissing(types: readonly string[], name: string): void {
  if (types.length === 0) return;
  useMissing.setState({ name, types });
  const shown = types.slice(0, 3).join(", ") + (types.length > 3 ? "…" : "");
  toast({
    id: "missing-types",
    kind: "warning",
    title: types.length === 1 ? "A node type is missing" : `${types.length} node types are missing`,
    text: `${shown} — kept in “${name}” as saved.`,
    actions: [{ label: "Details", run: () => useMissing.setState({ open: true }) }],
  });
}
