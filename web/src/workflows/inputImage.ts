import { uploadImage } from "@/api/calls";
import { addNode } from "@/graph/edits";
import { activeCanvas } from "@/canvas/handle";
import { toast } from "@/app/ui/toast";
import { activeStore } from "./workspace";

/** Uploads a picture and puts a node that loads it in the middle of the view. */
export async function addInputImage(file: Blob, name: string): Promise<void> {
  const store = activeStore();
  if (!store) return;
  try {
    const stored = await uploadImage(new File([file], name, { type: file.type }), {});
    const { definitions, scope } = store.getState();
    const value = stored.subfolder ? `${stored.subfolder}/${stored.name}` : stored.name;
    const at = activeCanvas()?.center() ?? [0, 0];
    store.getState().edit("Add image", (draft) => {
      addNode(draft, scope.graphId, definitions, "LoadImage", at, { values: { image: value } });
    });
  } catch (error) {
    toast({ kind: "danger", title: `“${name}” was not uploaded`, text: error instanceof Error ? error.message : String(error) });
  }
}
