import { belongsToField, keysOf } from "./keys";
import { commandsFor, isEnabled } from "./registry";

const FIELD = "input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]:not([contenteditable=false])";
/** Widgets of the keyboard's own: letters there choose an item or type ahead. */
const OWN_KEYS = "[role=menu], [role=listbox], [role=combobox], [role=dialog], [role=alertdialog], [role=slider], [role=spinbutton], [data-pack-widget]";

function inField(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(FIELD) !== null;
}

/** Runs the command of a key press. */
function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const keys = keysOf(event);
  if (keys === null) return;
  const field = inField(event.target);
  const own = event.target instanceof Element && event.target.closest(OWN_KEYS) !== null;
  const dialog = document.querySelector("[role=dialog][data-state=open].sl-dialog, [role=alertdialog]") !== null;
  for (const command of commandsFor(keys)) {
    if (field && belongsToField(keys) && !command.inFields) continue;
    if ((own || dialog) && !keys.startsWith("Mod+")) continue;
    if (dialog && !command.inDialogs) continue;
    if (!isEnabled(command)) continue;
    // A paste arrives as an event of its own, with what is pasted.
    if (command.native) return;
    event.preventDefault();
    if (!event.repeat || command.repeats) void command.run();
    return;
  }
}

export function startKeys(): () => void {
  window.addEventListener("keydown", onKeyDown);
  return () => window.removeEventListener("keydown", onKeyDown);
}
