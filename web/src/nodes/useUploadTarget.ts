import type { ClipboardEvent, DragEvent } from "react";
import { uploadImage } from "@/api/calls";
import { toast } from "@/app/ui";
import type { SceneNode } from "@/canvas/scene";
import type { InputDefinition } from "@/graph/definitions";
import { setValue } from "@/graph/edits";
import { isLinked } from "@/graph/widgets";
import { useNodePlace } from "./context";
import { uploadKind } from "./fileNames";
import { rememberChoice } from "./newChoices";

/** Files dropped on a node, or pasted while it has the focus, go into its upload widget. */
export function useUploadTarget(node: SceneNode) {
  const { store, graphId, id } = useNodePlace();
  const input = node.definition?.inputs.find((one) => uploadKind(one) !== undefined);
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
  const wanted = uploadKind(input);
  const kind = wanted === "mask" ? "image" : wanted;
  const known = ["image", "video", "audio"].includes(kind ?? "");
  return [...files].find((file) => !known || file.type.startsWith(`${kind}/`) || also(kind, file.type));
}

/** A film in a picture's clothes, and the sound of a film. */
function also(kind: string | undefined, type: string): boolean {
  return (kind === "video" && type === "image/gif") || (kind === "audio" && type.startsWith("video/"));
}
