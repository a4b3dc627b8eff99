/** Which panels are open and how wide: remembered by the browser, as it depends on the screen. */
import { create } from "zustand";

export type LeftPanel = "nodes" | "models" | "workflows" | "templates" | "queue" | "gallery";
export type BottomPanel = "logs" | "shortcuts";

export interface ShellState {
  left: LeftPanel | null;
  leftWidth: number;
  right: boolean;
  rightWidth: number;
  bottom: BottomPanel | null;
  bottomHeight: number;
  /** Only the canvas. */
  focusMode: boolean;
  view: "graph" | "form";
}

const KEY = "safelight.layout";
const STANDARD: ShellState = { left: null, leftWidth: 300, right: false, rightWidth: 320, bottom: null, bottomHeight: 220, focusMode: false, view: "graph" };

function read(): ShellState {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<ShellState>;
    return { ...STANDARD, ...found, focusMode: false, view: "graph" };
  } catch {
    return STANDARD;
  }
}

export const useShell = create<ShellState>(read);

useShell.subscribe((state) => {
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    // The layout is then the standard one at the next visit.
  }
});

/** Opens a panel at the left, or closes it if it is open. */
export function togglePanel(panel: LeftPanel): void {
  useShell.setState(({ left, focusMode }) => ({ left: left === panel && !focusMode ? null : panel, focusMode: false }));
}

export function openPanel(panel: LeftPanel): void {
  useShell.setState({ left: panel, focusMode: false });
}

export function toggleBottom(panel: BottomPanel): void {
  useShell.setState(({ bottom, focusMode }) => ({ bottom: bottom === panel && !focusMode ? null : panel, focusMode: false }));
}

export function toggleInspector(): void {
  useShell.setState(({ right, focusMode }) => ({ right: focusMode || !right, focusMode: false }));
}

export function openInspector(): void {
  useShell.setState({ right: true, focusMode: false });
}

export function setView(view: ShellState["view"]): void {
  useShell.setState({ view });
}
