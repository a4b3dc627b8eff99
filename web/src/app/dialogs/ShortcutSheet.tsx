import { allCommands, commandKeys, keysFor, useCommandsVersion, type CommandGroup } from "../commands/registry";
import { Kbd } from "../ui";

const ORDER: readonly CommandGroup[] = ["Run", "Edit", "Node", "View", "Workflow", "Panels", "Subgraph", "Application"];

/** What the canvas and its widgets answer to themselves. */
const CANVAS: readonly [string, string][] = [
  ["double click", "Add a node"],
  ["drag", "Pan, or select (see settings)"],
  ["Ctrl+drag", "Select with a box"],
  ["Shift+click", "Add to the selection"],
  ["Alt+drag", "Clone what is dragged"],
  ["Space+drag", "Pan"],
  ["Tab", "Next node (on a node)"],
  ["Enter", "Edit the node's widgets"],
  ["L", "Link a node from the keyboard"],
  ["Ctrl+↑ / ↓", "Weight of the selected prompt text"],
];

/** All keys in force. */
export function ShortcutSheet({ canvas = false }: { canvas?: boolean }) {
  useCommandsVersion();
  const bound = allCommands().filter((command) => keysFor(command).length > 0);
  return (
    <div className="sl-sheet">
      {ORDER.map((group) => (
        <section key={group}>
          <h3>{group}</h3>
          <ul>
            {bound
              .filter((command) => command.group === group)
              .map((command) => (
                <li key={command.id}>
                  <span>{command.title}</span>
                  <Kbd keys={commandKeys(command.id) ?? ""} />
                </li>
              ))}
          </ul>
        </section>
      ))}
      {canvas && (
        <section>
          <h3>On the canvas</h3>
          <ul>
            {CANVAS.map(([keys, what]) => (
              <li key={keys}>
                <span>{what}</span>
                <span className="sl-keys">
                  <kbd className="sl-kbd">{keys}</kbd>
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
