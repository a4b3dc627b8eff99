import { useSyncExternalStore } from "react";
import { currentTheme, onThemeChange, type ThemeName } from "./theme";

/** The theme in use, live. */
export function useTheme(): ThemeName {
  return useSyncExternalStore(onThemeChange, currentTheme);
}
