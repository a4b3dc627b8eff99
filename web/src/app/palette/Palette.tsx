import { Command } from "cmdk";
import { useState } from "react";
import { useDefinitions } from "@/workflows/definitions";
import { openPath } from "@/workflows/opening";
import { useUserFiles } from "@/workflows/userFiles";
import { activate, useWorkspace } from "@/workflows/workspace";
import { allCommands, isEnabled, keysFor, type Command as EditorCommand, type CommandGroup } from "../commands/registry";
import { addAtCentre } from "../library/addAtCentre";
import { buildIndex, searchNodes } from "../search/nodeIndex";
import { Icon, Kbd } from "../ui";
import { usePalette } from "./paletteState";
import { rank } from "./rank";

const ORDER: readonly CommandGroup[] = ["Run", "Workflow", "Edit", "Node", "Subgraph", "View", "Panels", "Application"];

/** Every command, workflow and node by name, from the keyboard. */
export function Palette() {
  const open = usePalette((state) => state.open);
  const change = (next: boolean) => usePalette.setState({ open: next });
  return (
    <Command.Dialog open={open} onOpenChange={change} label="Command palette" filter={rank} className="sl-palette" overlayClassName="sl-backdrop" contentClassName="sl-palette-dialog" loop>
      {open && <Contents close={() => change(false)} />}
    </Command.Dialog>
  );
}

function Contents({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const commands = allCommands().filter((command) => !command.hidden && isEnabled(command));
  const act = (run: () => unknown) => () => {
    close();
    // After the dialog has given the focus back, so that a command may move it.
    setTimeout(run, 0);
  };
  return (
    <>
      <div className="sl-palette__field">
        <Icon name="search" />
        <Command.Input value={text} onValueChange={setText} placeholder="Search commands, nodes and workflows…" />
        <Kbd keys="Escape" />
      </div>
      <Command.List className="sl-palette__list">
        <Command.Empty className="sl-palette__empty">Nothing fits.</Command.Empty>
        {ORDER.map((group) => {
          const members = commands.filter((command) => command.group === group);
          return (
            members.length > 0 && (
              <Command.Group key={group} heading={group}>
                {members.map((command) => (
                  <CommandLine key={command.id} command={command} onSelect={act(() => command.run())} />
                ))}
              </Command.Group>
            )
          );
        })}
        <Tabs act={act} />
        {text.length > 1 && <Files act={act} />}
        {text.length > 1 && <Nodes text={text} act={act} />}
      </Command.List>
    </>
  );
}

type Act = (run: () => unknown) => () => void;

function CommandLine({ command, onSelect }: { command: EditorCommand; onSelect: () => void }) {
  const keys = keysFor(command)[0];
  return (
    <Command.Item className="sl-palette__item" value={command.id} keywords={[command.title, command.group, command.words ?? ""]} onSelect={onSelect}>
      <span className="sl-menu__icon">{command.icon && <Icon name={command.icon} />}</span>
      <span className="sl-menu__label">{command.title}</span>
      {keys && <Kbd keys={keys} />}
    </Command.Item>
  );
}

function Tabs({ act }: { act: Act }) {
  const { tabs, activeId } = useWorkspace();
  const others = tabs.filter((tab) => tab.id !== activeId);
  if (others.length === 0) return null;
  return (
    <Command.Group heading="Open workflows">
      {others.map((tab) => (
        <Command.Item key={tab.id} className="sl-palette__item" value={tab.id} keywords={[tab.name]} onSelect={act(() => activate(tab.id))}>
          <span className="sl-menu__icon">
            <Icon name="workflow" />
          </span>
          {tab.name}
        </Command.Item>
      ))}
    </Command.Group>
  );
}

function Files({ act }: { act: Act }) {
  const files = useUserFiles((state) => state.files);
  if (files.length === 0) return null;
  return (
    <Command.Group heading="Your workflows">
      {files.map((file) => (
        <Command.Item key={file.path} className="sl-palette__item" value={`file:${file.path}`} keywords={[file.path]} onSelect={act(() => openPath(file.path))}>
          <span className="sl-menu__icon">
            <Icon name="file" />
          </span>
          {file.path.replace(/\.json$/, "")}
        </Command.Item>
      ))}
    </Command.Group>
  );
}

function Nodes({ text, act }: { text: string; act: Act }) {
  const definitions = useDefinitions((state) => state.definitions);
  const found = searchNodes(buildIndex(definitions), text.replace(/^add\s+/i, ""), { limit: 12 });
  return (
    <Command.Group heading="Add a node" forceMount>
      {found.map(({ definition }) => (
        <Command.Item key={definition.type} forceMount className="sl-palette__item" value={`node:${definition.type}`} keywords={[definition.title, definition.category, "add node"]} onSelect={act(() => addAtCentre(definition.type))}>
          <span className="sl-menu__icon">
            <Icon name="plus" />
          </span>
          <span className="sl-menu__label">{definition.title}</span>
          <span className="sl-menu__hint">{definition.category.replaceAll("/", " › ")}</span>
        </Command.Item>
      ))}
    </Command.Group>
  );
}
