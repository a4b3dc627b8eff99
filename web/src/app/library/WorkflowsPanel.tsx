import { useEffect, useState } from "react";
import { openPath } from "@/workflows/opening";
import { nameProblem } from "@/workflows/names";
import { deleteFile, renameFile } from "@/workflows/saving";
import { useUserFiles, type UserFile } from "@/workflows/userFiles";
import { useWorkspace } from "@/workflows/workspace";
import { runCommand } from "../commands/registry";
import { useSetting } from "../settings/settings";
import { Badge, Button, EmptyState, Icon, IconButton, Menu, TextField, askText } from "../ui";

/** The workflows in the user's folder. */
export function WorkflowsPanel() {
  const { files, state, refresh } = useUserFiles();
  const recent = useSetting("recent");
  const [text, setText] = useState("");
  useEffect(() => {
    void refresh();
  }, [refresh]);
  const query = text.trim().toLowerCase();
  const shown = files.filter((file) => file.path.toLowerCase().includes(query));
  const latest = query === "" ? recent.flatMap((path) => files.find((file) => file.path === path) ?? []).slice(0, 4) : [];
  return (
    <>
      <div className="sl-panel__tools">
        <TextField label="Search workflows" hideLabel icon="search" clearable placeholder="Search your workflows…" value={text} onChange={setText} />
        <IconButton icon="folderOpen" label="Open a file of this computer" onClick={() => runCommand("workflow.open")} />
        <IconButton icon="refresh" label="Read the folder again" onClick={() => void refresh()} />
      </div>
      <div className="sl-panel__scroll">
        {latest.length > 0 && files.length > 6 && <Section title="Recent" files={latest} />}
        {folders(shown).map(([folder, members]) => (
          <Section key={folder} title={folder || (latest.length > 0 && files.length > 6 ? "All" : "")} files={members} />
        ))}
        {state === "failed" && <EmptyState icon="offline" title="The folder was not read" text="The server does not answer." />}
        {state === "ready" && shown.length === 0 && (
          <EmptyState
            icon="folder"
            title={query ? "No workflow fits" : "Nothing saved yet"}
            text={query ? undefined : "What you save is kept on the server, in your user folder."}
            action={query ? undefined : <Button size="sm" icon="save" onClick={() => runCommand("workflow.save")}>Save this workflow</Button>}
          />
        )}
      </div>
    </>
  );
}

function folders(files: readonly UserFile[]): [string, UserFile[]][] {
  const groups = new Map<string, UserFile[]>();
  for (const file of files) {
    const folder = file.path.split("/").slice(0, -1).join("/");
    groups.set(folder, [...(groups.get(folder) ?? []), file]);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}

function Section({ title, files }: { title: string; files: readonly UserFile[] }) {
  return (
    <section aria-label={title || "Workflows"}>
      {title && <h3 className="sl-list-heading">{title}</h3>}
      <ul className="sl-tree__items" style={{ paddingLeft: 0 }}>
        {files.map((file) => (
          <FileRow key={file.path} file={file} />
        ))}
      </ul>
    </section>
  );
}

function FileRow({ file }: { file: UserFile }) {
  const open = useWorkspace((state) => state.tabs.some((tab) => tab.path === file.path));
  const name = (file.path.split("/").at(-1) ?? file.path).replace(/\.json$/i, "");
  const rename = async () => {
    const next = await askText({ title: "Rename workflow", label: "Name", value: file.path.replace(/\.json$/i, ""), confirm: "Rename", check: nameProblem });
    if (next !== null) await renameFile(file.path, `${next.replace(/\.json$/i, "")}.json`);
  };
  return (
    <li className="sl-tree__item">
      <button type="button" className="sl-tree__button" onClick={() => void openPath(file.path)} title={file.path}>
        <Icon name="workflow" size={14} className="sl-icon" />
        <span className="sl-tree__name">{name}</span>
        {open ? <Badge kind="accent">open</Badge> : <span className="sl-tree__meta">{when(file.modified)}</span>}
      </button>
      <Menu
        align="end"
        items={[
          { label: "Open", icon: "folderOpen", onSelect: () => void openPath(file.path) },
          { label: "Rename…", icon: "pencil", onSelect: () => void rename() },
          "separator",
          { label: "Delete…", icon: "trash", danger: true, onSelect: () => void deleteFile(file.path) },
        ]}
        trigger={
          <button type="button" className="sl-icon-button sl-icon-button--sm sl-button--ghost sl-tree__side" aria-label={`Actions for ${name}`}>
            <Icon name="more" size={14} />
          </button>
        }
      />
    </li>
  );
}

/** "14:05" today, "21 Nov" this year, else with the year. */
function when(modified: number): string {
  // Servers of this family differ on seconds and milliseconds.
  const date = new Date(modified < 1e11 ? modified * 1000 : modified);
  const now = new Date();
  if (date.toDateString() === now.toDateString()) return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString([], { day: "numeric", month: "short", year });
}
