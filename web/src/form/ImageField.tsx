/** A picture to start from: chosen, dropped or pasted. */
import { useRef, useState, type ClipboardEvent, type DragEvent } from "react";
import { uploadImage, viewUrl } from "@/api/calls";
import { Button, Select, toast } from "@/app/ui";

interface ImageFieldProps {
  id: string;
  value: string;
  choices: readonly string[];
  label: string;
  onChange: (value: string) => void;
}

/** `folder/name.png [input]` as a file of the server. */
export function fileOfValue(value: string): { filename: string; subfolder: string; type: string } {
  const annotated = /^(.*?)(?:\s+\[(input|output|temp)\])?$/.exec(value);
  const path = annotated?.[1] ?? value;
  const slash = path.lastIndexOf("/");
  return { filename: path.slice(slash + 1), subfolder: slash < 0 ? "" : path.slice(0, slash), type: annotated?.[2] ?? "input" };
}

export function ImageField({ id, value, choices, label, onChange }: ImageFieldProps) {
  const picker = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);

  const take = async (file: File | undefined) => {
    if (!file) return;
    setBusy(true);
    try {
      const { name, subfolder } = await uploadImage(file);
      onChange(subfolder ? `${subfolder}/${name}` : name);
    } catch (error) {
      toast({ kind: "danger", title: "The file could not be uploaded", text: (error as Error).message });
    } finally {
      setBusy(false);
    }
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    void take(event.dataTransfer.files[0]);
  };
  const paste = (event: ClipboardEvent) => {
    const file = event.clipboardData.files[0];
    if (file) {
      event.preventDefault();
      void take(file);
    }
  };
  const options = [...new Set([...(value ? [value] : []), ...choices])].map((name) => ({ value: name, label: name }));
  return (
    <div className={`sl-form__image ${over ? "is-over" : ""}`} onDragOver={(event) => (event.preventDefault(), setOver(true))} onDragLeave={() => setOver(false)} onDrop={drop} onPaste={paste}>
      {value && <img src={viewUrl(fileOfValue(value), { preview: true })} alt={value} />}
      <div className="sl-form__row">
        <input ref={picker} id={id} type="file" accept="image/*,video/*,audio/*" className="sl-visually-hidden" onChange={(event) => void take(event.target.files?.[0])} />
        <Button icon="upload" loading={busy} onClick={() => picker.current?.click()}>
          Choose a file
        </Button>
        {options.length > 0 && <Select hideLabel label={label} value={value} options={options} onChange={onChange} />}
      </div>
      <p className="sl-form__hint">Drop or paste a picture here.</p>
    </div>
  );
}
