/** Which set of tokens is in use, and their values for code that draws on a canvas element. */

export type ThemeName = "dark" | "light" | "contrast";
export type ThemeChoice = ThemeName | "system";

const listeners = new Set<() => void>();
const resolved = new Map<string, string>();
let current: ThemeName = "dark";
let version = 0;

function systemTheme(): ThemeName {
  if (window.matchMedia("(prefers-contrast: more)").matches) return "contrast";
  return window.matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

/** Puts a theme on the page; `system` follows the operating system at this moment. */
export function applyTheme(choice: ThemeChoice): void {
  current = choice === "system" ? systemTheme() : choice;
  document.documentElement.dataset.theme = current;
  resolved.clear();
  version += 1;
  for (const listener of listeners) listener();
}

export function currentTheme(): ThemeName {
  return current;
}

/** Goes up with each change of theme: key caches of colours with it. */
export function themeVersion(): number {
  return version;
}

/** Calls back after each change of theme; returns the way to stop. */
export function onThemeChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The value of a token (`--bg-canvas`, `--socket-image`) as CSS text, cached until the theme changes. */
export function themeColor(token: string): string {
  const known = resolved.get(token);
  if (known !== undefined) return known;
  const value = getComputedStyle(document.documentElement).getPropertyValue(token).trim();
  resolved.set(token, value);
  return value;
}
