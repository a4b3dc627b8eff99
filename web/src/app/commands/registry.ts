/** Every action of the editor by id: menus, the palette and key bindings all come from here. */
import { useSyncExternalStore } from "react";
import type { IconName } from "../ui/Icon";
import { normalizeKeys } from "./keys";

export type CommandGroup = "Workflow" | "Edit" | "Node" | "Subgraph" | "View" | "Run" | "Panels" | "Application";

export interface Command {
  id: string;
  title: string;
  group: CommandGroup;
  /** Default keys, the first is shown. */
  keys?: readonly string[];
  icon?: IconName;
  /** Other words people search for. */
  words?: string;
  /** Whether it can be used now. */
  when?: () => boolean;
  /** Whether its keys work in a text field too. */
  inFields?: boolean;
  /** Whether its keys work while a dialog is open. */
  inDialogs?: boolean;
  /** Holding the keys down repeats it. */
  repeats?: boolean;
  /** The browser answers the keys with an event that does the work; the command is for menus. */
  native?: boolean;
  /** Left out of the palette. */
  hidden?: boolean;
  run: (args?: unknown) => unknown;
}

/** Keys set by the person: an empty list takes the default keys away. */
export type KeyBindings = Readonly<Record<string, readonly string[]>>;

const commands = new Map<string, Command>();
const listeners = new Set<() => void>();
let bindings: KeyBindings = {};
let version = 0;
let byKeys: Map<string, Command[]> | null = null;

function changed(): void {
  byKeys = null;
  version += 1;
  for (const listener of listeners) listener();
}

export function registerCommands(added: readonly Command[]): () => void {
  for (const command of added) commands.set(command.id, command);
  changed();
  return () => {
    for (const command of added) if (commands.get(command.id) === command) commands.delete(command.id);
    changed();
  };
}

export function getCommand(id: string): Command | undefined {
  return commands.get(id);
}

export function allCommands(): Command[] {
  return [...commands.values()];
}

export function isEnabled(command: Command): boolean {
  return command.when?.() ?? true;
}

/** Runs a command if it can be used now; true if it ran. */
export function runCommand(id: string, args?: unknown): boolean {
  const command = commands.get(id);
  if (!command || !isEnabled(command)) return false;
  void command.run(args);
  return true;
}

export function setBindings(next: KeyBindings): void {
  bindings = next;
  changed();
}

export function getBindings(): KeyBindings {
  return bindings;
}

/** Keys in force for a command. */
export function keysFor(command: Command): readonly string[] {
  return bindings[command.id] ?? command.keys ?? [];
}

export function commandKeys(id: string): string | undefined {
  const command = commands.get(id);
  return command && keysFor(command)[0];
}

/** Commands bound to a combination: the first that can be used now runs. */
export function commandsFor(keys: string): readonly Command[] {
  byKeys ??= keyTable();
  return byKeys.get(normalizeKeys(keys)) ?? [];
}

function keyTable(): Map<string, Command[]> {
  const table = new Map<string, Command[]>();
  for (const command of commands.values()) {
    for (const keys of keysFor(command)) {
      const name = normalizeKeys(keys);
      table.set(name, [...(table.get(name) ?? []), command]);
    }
  }
  return table;
}

export function onCommandsChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function commandsVersion(): number {
  return version;
}

/** Re-renders when commands or bindings change. */
export function useCommandsVersion(): number {
  return useSyncExternalStore(onCommandsChange, commandsVersion);
}

export function useCommandKeys(id: string): string | undefined {
  return useSyncExternalStore(onCommandsChange, () => commandKeys(id));
}
