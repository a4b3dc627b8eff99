import { useState, type KeyboardEvent } from "react";
import { keysOf, keysText, normalizeKeys } from "../commands/keys";
import { allCommands, keysFor, useCommandsVersion, type Command } from "../commands/registry";
import { getSetting, setSetting, useSetting } from "../settings/settings";
import { Button, IconButton, Kbd, TextField, confirmDialog, toast } from "../ui";

function bind(command: Command, keys: readonly string[]): void {
  setSetting("keys", { ...getSetting("keys"), [command.id]: keys });
}

function unbind(id: string): void {
  const rest = Object.fromEntries(Object.entries(getSetting("keys")).filter(([key]) => key !== id));
  setSetting("keys", rest);
}

/** Gives the keys to one command; others that had them lose them, after a question. */
async function assign(command: Command, keys: string): Promise<void> {
  const others = allCommands().filter((other) => other.id !== command.id && keysFor(other).some((one) => normalizeKeys(one) === keys));
  if (others.length > 0) {
    const names = others.map((other) => `“${other.title}”`).join(", ");
    const yes = await confirmDialog({ title: `${keysText(keys)} is in use`, text: `It belongs to ${names}. Give it to “${command.title}” instead?`, confirm: "Give it" });
    if (!yes) return;
    for (const other of others) bind(other, keysFor(other).filter((one) => normalizeKeys(one) !== keys));
  }
  bind(command, [keys]);
  toast({ id: "keys", kind: "success", title: `${keysText(keys)}: ${command.title}` });
}

/** Shows and changes the keys of every command. */
export function KeyBindingsPage() {
  const [text, setText] = useState("");
  const [capturing, setCapturing] = useState<string | null>(null);
  const bindings = useSetting("keys");
  useCommandsVersion();
  const query = text.trim().toLowerCase();
  const shown = allCommands().filter((command) => `${command.title} ${command.group} ${keysFor(command).map(keysText).join(" ")}`.toLowerCase().includes(query));
  return (
    <section aria-label="Key bindings">
      <h3>Key bindings</h3>
      <div className="sl-panel__tools" style={{ padding: 0 }}>
        <TextField label="Search commands" hideLabel icon="search" clearable placeholder="Search by name or keys…" value={text} onChange={setText} />
        <Button disabled={Object.keys(bindings).length === 0} onClick={() => setSetting("keys", {})}>
          Reset all
        </Button>
      </div>
      {shown.map((command) => (
        <div key={command.id} className="sl-keyrow">
          <span className="sl-keyrow__title">
            {command.title} <span className="sl-tree__meta">{command.group}</span>
          </span>
          {capturing === command.id ? (
            <Capture
              name={command.title}
              onDone={(keys) => {
                setCapturing(null);
                if (keys) void assign(command, keys);
              }}
            />
          ) : (
            <span className="sl-keyrow__keys">
              {keysFor(command).map((keys) => (
                <Kbd key={keys} keys={keys} />
              ))}
            </span>
          )}
          <IconButton icon="pencil" size="sm" label={`Change the keys of ${command.title}`} onClick={() => setCapturing(command.id)} />
          {keysFor(command).length > 0 && <IconButton icon="close" size="sm" label={`No keys for ${command.title}`} onClick={() => bind(command, [])} />}
          {command.id in bindings && <IconButton icon="reset" size="sm" label={`Standard keys for ${command.title}`} onClick={() => unbind(command.id)} />}
        </div>
      ))}
    </section>
  );
}

/** Waits for a combination; Escape alone gives up. */
function Capture({ name, onDone }: { name: string; onDone: (keys: string | null) => void }) {
  const press = (event: KeyboardEvent) => {
    event.preventDefault();
    event.stopPropagation();
    const keys = keysOf(event.nativeEvent);
    if (keys !== null) onDone(keys === "Escape" ? null : keys);
  };
  return (
    <button type="button" className="sl-keycapture" autoFocus aria-label={`Press the new keys for ${name}`} onKeyDown={press} onBlur={() => onDone(null)}>
      Press keys… (Esc gives up)
    </button>
  );
}
