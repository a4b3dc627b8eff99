/** Key combinations as text: "Mod+Shift+K". Mod is Ctrl, or Cmd on a Mac. */

export const isMac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);

const ORDER = ["Mod", "Ctrl", "Alt", "Shift"] as const;
const ALIASES: Record<string, string> = { Control: "Ctrl", Cmd: "Mod", Meta: "Mod", " ": "Space", Esc: "Escape", Del: "Delete", "`": "Backquote", "+": "Plus" };
const GLYPHS: Record<string, string> = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Backquote: "`", Plus: "+", Escape: "Esc", Comma: ",", Period: "." };
const MAC_GLYPHS: Record<string, string> = { Mod: "⌘", Ctrl: "⌃", Alt: "⌥", Shift: "⇧", Enter: "↵", Backspace: "⌫" };

function splitKeys(keys: string): string[] {
  return keys.replace(/\+\+$/, "+Plus").split("+").filter(Boolean);
}

/** One spelling for a combination, so that two can be compared. */
export function normalizeKeys(keys: string): string {
  const parts = splitKeys(keys.trim()).map((part) => ALIASES[part] ?? part);
  const modifiers = ORDER.filter((name) => parts.some((part) => part.toLowerCase() === name.toLowerCase()));
  const rest = parts.filter((part) => !ORDER.some((name) => name.toLowerCase() === part.toLowerCase()));
  const key = rest[0] ?? "";
  const named = key.length === 1 ? key.toUpperCase() : key.charAt(0).toUpperCase() + key.slice(1);
  return [...modifiers, named].filter(Boolean).join("+");
}

/** The combination of a key press; null for a lone modifier. */
export function keysOf(event: KeyboardEvent): string | null {
  const { key } = event;
  if (key === "Control" || key === "Shift" || key === "Alt" || key === "Meta" || key === "Dead" || key === "Unidentified") return null;
  const parts: string[] = [];
  if (isMac ? event.metaKey : event.ctrlKey) parts.push("Mod");
  if (isMac && event.ctrlKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  const letter = letterOf(event);
  // Shift is part of how a symbol such as "?" is typed, so it only counts with named keys and letters.
  if (event.shiftKey && letter !== "Plus" && (letter.length > 1 || /[a-z0-9]/i.test(letter))) parts.push("Shift");
  parts.push(letter);
  return normalizeKeys(parts.join("+").replace(/\+\+$/, "+Plus"));
}

/** With Alt, layouts put other characters on a letter's key: then the key's place says which it is. */
function letterOf(event: KeyboardEvent): string {
  if (event.altKey || !/^[\x20-\x7e]$/.test(event.key)) {
    const letter = /^(?:Key|Digit)(.)$/.exec(event.code)?.[1];
    if (letter && (event.key.length === 1 || event.altKey)) return letter;
    if (event.altKey && event.code === "Equal") return event.shiftKey ? "Plus" : "=";
    if (event.altKey && event.code === "Minus") return "-";
  }
  const digit = /^Digit(.)$/.exec(event.code)?.[1];
  if (event.shiftKey && digit && event.key !== "?") return digit;
  if (event.key === " ") return "Space";
  if (event.key === "+") return "Plus";
  if (event.key === "`") return "Backquote";
  return event.key;
}

/** Keycaps to show. */
export function showKeys(keys: string): string[] {
  return normalizeKeys(keys)
    .split("+")
    .map((part) => {
      if (isMac && MAC_GLYPHS[part]) return MAC_GLYPHS[part];
      if (part === "Mod") return "Ctrl";
      return GLYPHS[part] ?? part;
    });
}

/** The same as one text, for names read aloud and titles. */
export function keysText(keys: string): string {
  return showKeys(keys).join(isMac ? "" : "+");
}

/** Keys that belong to a text field while it has the focus. */
export function belongsToField(keys: string): boolean {
  if (keys === "Mod+Enter" || keys === "Mod+Shift+Enter" || keys === "Mod+Alt+Enter") return false;
  const editing = ["Mod+A", "Mod+C", "Mod+X", "Mod+V", "Mod+Z", "Mod+Y", "Mod+Shift+Z", "Mod+Shift+V", "Mod+B", "Mod+M", "Mod+G"];
  return !keys.startsWith("Mod+") || editing.includes(keys) || /Arrow|Backspace|Delete|Home|End/.test(keys);
}
