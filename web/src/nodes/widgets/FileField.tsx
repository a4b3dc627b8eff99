import { useId, useRef, useState } from "react";
import { uploadImage } from "@/api/calls";
import { Icon, toast } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import { useNodePlace } from "../context";
import { uploadKind } from "../fileNames";
import { rememberChoice } from "../newChoices";

const ACCEPT: Readonly<Record<string, string>> = { image: "image/*", video: "video/*", audio: "audio/*,video/*", mask: "image/*" };

/** Sends a file to the server's input folder; the widget then holds its name. */
export function useUpload(input: InputDefinition, onFile: (name: string) => void) {
  const [busy, setBusy] = useState(false);
  const { store } = useNodePlace();
  const send = async (file: File | undefined | null): Promise<void> => {
    if (!file) return;
    setBusy(true);
    try {
      const { name, subfolder } = await uploadImage(file);
      const full = subfolder ? `${subfolder}/${name}` : name;
      rememberChoice(store, input, full);
      onFile(full);
      store.getState().endCoalescing();
    } catch (error) {
      toast({ title: `${file.name} was not uploaded`, text: error instanceof Error ? error.message : String(error), kind: "danger" });
    } finally {
      setBusy(false);
    }
  };
  return { busy, send };
}

export function accepts(input: InputDefinition): string {
  return ACCEPT[uploadKind(input) ?? ""] ?? "";
}

/** The button that chooses a file of the person's machine. */
export function FileField({ input, onFile }: { input: InputDefinition; onFile: (name: string) => void }) {
  const { busy, send } = useUpload(input, onFile);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  return (
    <>
      <button type="button" className="sl-widget-button" aria-label="Upload a file" data-tip="Upload a file: choose, drop or paste" disabled={busy} onClick={() => field.current?.click()}>
        <Icon name={busy ? "loader" : "upload"} size={13} />
      </button>
      <input
        ref={field}
        id={id}
        type="file"
        hidden
        tabIndex={-1}
        accept={accepts(input)}
        aria-label={`File for ${input.label ?? input.name}`}
        onChange={(event) => {
          void send(event.target.files?.[0]);
          event.target.value = "";
        }}
      />
    </>
  );
}
