import { useEffect, useState, type DragEvent } from "react";
import { getJson } from "@/api/client";
import { definitions } from "@/workflows/definitions";
import { refreshFromServer } from "../refresh";
import { Badge, EmptyState, Icon, IconButton, TextField, toast } from "../ui";
import { NODE_DRAG, VALUES_DRAG, addAtCentre } from "./addAtCentre";
import { loadersOf } from "./modelLoaders";

interface Folder {
  name: string;
  files: readonly string[];
}

async function readFolders(): Promise<Folder[]> {
  const names = await getJson<string[]>("api/models");
  const folders = await Promise.all(names.map(async (name) => ({ name, files: await getJson<string[]>(`api/models/${encodeURIComponent(name)}`).catch(() => []) })));
  return folders.sort((a, b) => Number(b.files.length > 0) - Number(a.files.length > 0) || a.name.localeCompare(b.name));
}

/** The model files of the server by folder: click or drag to add the node that loads one. */
export function ModelLibrary() {
  const [folders, setFolders] = useState<readonly Folder[] | null>(null);
  const [failed, setFailed] = useState(false);
  const [text, setText] = useState("");
  const read = () =>
    readFolders().then(
      (found) => {
        setFolders(found);
        setFailed(false);
      },
      () => setFailed(true),
    );
  useEffect(() => {
    void read();
  }, []);
  const refresh = async () => {
    await refreshFromServer();
    await read();
  };
  const query = text.trim().toLowerCase();
  const shown = (folders ?? []).map((folder) => ({ ...folder, files: folder.files.filter((file) => file.toLowerCase().includes(query)) })).filter((folder) => query === "" || folder.files.length > 0);
  return (
    <>
      <div className="sl-panel__tools">
        <TextField label="Search models" hideLabel icon="search" clearable placeholder="Search models…" value={text} onChange={setText} />
        <IconButton icon="refresh" label="Look for new models" onClick={() => void refresh()} />
      </div>
      <div className="sl-panel__scroll">
        {failed && <EmptyState icon="offline" title="The list was not read" text="The server does not answer." />}
        {shown
          .filter((folder) => folder.files.length > 0)
          .map((folder) => (
            <ModelFolder key={folder.name} folder={folder} open={query !== ""} />
          ))}
        <EmptyFolders names={shown.flatMap((folder) => (folder.files.length === 0 ? [folder.name] : []))} />
        {folders && shown.length === 0 && <EmptyState icon="package" title="No model fits" />}
      </div>
    </>
  );
}

function EmptyFolders({ names }: { names: readonly string[] }) {
  const [open, setOpen] = useState(false);
  if (names.length === 0) return null;
  return (
    <section>
      <button type="button" className="sl-tree__group is-quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "chevronDown" : "chevronRight"} size={14} />
        Empty folders
        <Badge>{names.length}</Badge>
      </button>
      {open && <p className="sl-hint sl-tree__inner">{names.map((name) => `models/${name}`).join(", ")}</p>}
    </section>
  );
}

function ModelFolder({ folder, open: forced }: { folder: Folder; open: boolean }) {
  const [chosen, setOpen] = useState<boolean | null>(null);
  const open = forced || (chosen ?? folder.name === "checkpoints");
  return (
    <section>
      <button type="button" className="sl-tree__group" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "chevronDown" : "chevronRight"} size={14} />
        {folder.name}
        <Badge>{folder.files.length}</Badge>
      </button>
      {open && (
        <ul className="sl-tree__items sl-tree__inner">
          {folder.files.map((file) => (
            <ModelRow key={file} file={file} />
          ))}
        </ul>
      )}
    </section>
  );
}

function ModelRow({ file }: { file: string }) {
  const drag = (event: DragEvent) => {
    const [loader] = loadersOf(definitions(), file);
    if (!loader) return;
    event.dataTransfer.setData(NODE_DRAG, loader.definition.type);
    event.dataTransfer.setData(VALUES_DRAG, JSON.stringify({ [loader.input]: file }));
    event.dataTransfer.effectAllowed = "copy";
  };
  return (
    <li className="sl-tree__item">
      <button type="button" className="sl-tree__button" draggable onDragStart={drag} onClick={() => addModel(file)} title={file}>
        <Icon name="drive" size={14} className="sl-icon" />
        <span className="sl-tree__name">{file}</span>
      </button>
    </li>
  );
}

function addModel(file: string): void {
  const [loader] = loadersOf(definitions(), file);
  if (loader) addAtCentre(loader.definition.type, { [loader.input]: file });
  else toast({ kind: "warning", title: "No node loads this file", text: "Refresh the node definitions (R) if it is new." });
}
