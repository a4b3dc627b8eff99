/** A picture, video or sound to start from: chosen, dropped or pasted. */
import { useRef, useState, type ClipboardEvent, type DragEvent } from "react";
import { uploadImage, viewUrl } from "@/api/calls";
import { Button, Select, toast } from "@/app/ui";
import { fileNamed } from "@/nodes/fileNames";

interface ImageFieldProps {
  id: string;
  /** Of file, as the input says it: `image`, `video`, `audio`… */
  kind: string;
  value: string;
  choices: readonly string[];
  label: string;
  onChange: (value: string) => void;
}

export function ImageField({ id, kind, value, choices, label, onChange }: ImageFieldProps) {
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
      <Chosen kind={kind} value={value} />
      <div className="sl-form__row">
        <input ref={picker} id={id} type="file" accept={kind === "video" ? "video/*" : kind === "audio" ? "audio/*,video/*" : "image/*"} className="sl-visually-hidden" onChange={(event) => void take(event.target.files?.[0])} />
        <Button icon="upload" loading={busy} onClick={() => picker.current?.click()}>
          Choose a file
        </Button>
        {options.length > 0 && <Select hideLabel label={label} value={value} options={options} onChange={onChange} />}
      </div>
      <p className="sl-form__hint">Drop or paste a {kind === "video" ? "video" : kind === "audio" ? "sound" : "picture"} here.</p>
    </div>
  );
}

function Chosen({ kind, value }: { kind: string; value: string }) {
  const file = fileNamed(value);
  if (file === null) return null;
  if (kind === "video") return <video key={value} src={viewUrl(file)} controls loop muted playsInline preload="metadata" aria-label={value} />;
  if (kind === "audio") return <audio key={value} src={viewUrl(file)} controls preload="metadata" aria-label={value} />;
  return <img src={viewUrl(file, { preview: true })} alt={value} />;
}
