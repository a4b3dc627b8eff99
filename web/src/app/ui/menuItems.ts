import { commandKeys, getCommand, isEnabled, runCommand } from "../commands/registry";
import type { IconName } from "./Icon";

export interface MenuAction {
  label: string;
  icon?: IconName | undefined;
  keys?: string | undefined;
  onSelect?: (() => void) | undefined;
  disabled?: boolean | undefined;
  danger?: boolean | undefined;
  /** Shows a check mark; the item is announced as checked. */
  checked?: boolean | undefined;
  /** A short text at the end. */
  hint?: string | undefined;
  items?: readonly MenuItem[] | undefined;
  /** Colour shown in place of the icon. */
  swatch?: string | undefined;
}

/** One line of a menu; `command` takes title, icon, keys and availability from the registry. */
export type MenuItem =
  | MenuAction
  | "separator"
  | { heading: string }
  | { command: string; label?: string; args?: unknown; checked?: boolean; danger?: boolean };

export type Line = { kind: "separator" } | { kind: "heading"; text: string } | { kind: "action"; action: MenuAction };

/** What stands in a menu: commands that do not exist are left out, separators never double. */
export function linesOf(items: readonly MenuItem[]): Line[] {
  const lines: Line[] = [];
  for (const item of items) {
    if (item === "separator") {
      if (lines.length > 0 && lines.at(-1)?.kind !== "separator") lines.push({ kind: "separator" });
    } else if ("heading" in item) lines.push({ kind: "heading", text: item.heading });
    else if ("command" in item) {
      const action = commandAction(item);
      if (action) lines.push({ kind: "action", action });
    } else lines.push({ kind: "action", action: item });
  }
  if (lines.at(-1)?.kind === "separator") lines.pop();
  return lines;
}

function commandAction(item: { command: string; label?: string; args?: unknown; checked?: boolean; danger?: boolean }): MenuAction | null {
  const command = getCommand(item.command);
  if (!command) return null;
  return {
    label: item.label ?? command.title,
    icon: command.icon,
    keys: commandKeys(command.id),
    disabled: !isEnabled(command),
    checked: item.checked,
    danger: item.danger,
    onSelect: () => runCommand(command.id, item.args),
  };
}
