import type { ClipboardEvent, DragEvent } from "react";
import { uploadImage } from "@/api/calls";
import { toast } from "@/app/ui";
import type { SceneNode } from "@/canvas/scene";
import type { InputDefinition } from "@/graph/definitions";
import { setValue } from "@/graph/edits";
import { isLinked } from "@/graph/widgets";
import { useNodePlace } from "./context";
import { rememberChoice } from "./newChoices";

/** Files dropped on a node, or pasted while it has the focus, go into its upload widget. */
export function useUploadTarget(node: SceneNode) {
  const { store, graphId, id } = useNodePlace();
  const input = node.definition?.inputs.find((one) => one.upload !== undefined && one.kind === "combo");
  if (input === undefined || isLinked(node.record, input.name)) return null;
  const take = async (file: File): Promise<void> => {
    try {
      const { name, subfolder } = await uploadImage(file);
      const full = subfolder ? `${subfolder}/${name}` : name;
      rememberChoice(store, input, full);
      store.getState().edit(`Change ${input.name}`, (draft) => setValue(draft, graphId, id, input.name, full));
    } catch (error) {
      toast({ title: `${file.name} was not uploaded`, text: error instanceof Error ? error.message : String(error), kind: "danger" });
    }
  };
  return {
    onDragOver: (event: DragEvent) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer.dropEffect = "copy";
    },
    onDrop: (event: DragEvent) => {
      const file = fitting(input, event.dataTransfer.files);
      if (!file) return;
      event.preventDefault();
      event.stopPropagation();
      void take(file);
    },
    onPaste: (event: ClipboardEvent) => {
      const file = fitting(input, event.clipboardData.files);
      if (!file) return;
      event.preventDefault();
      event.stopPropagation();
      void take(file);
    },
  };
}

/** The first file of the kind that the widget takes. */
function fitting(input: InputDefinition, files: FileList): File | undefined {
  const kind = input.upload === "mask" ? "image" : input.upload;
  const known = ["image", "video", "audio"].includes(kind ?? "");
  return [...files].find((file) => !known || file.type.startsWith(`${kind}/`) || (kind === "video" && file.type === "image/gif"));
}
