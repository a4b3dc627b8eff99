import { create } from "zustand";

export type DialogName = "settings" | "about" | "shortcuts" | "welcome" | "parameters" | "call" | "packs";

/** Which of the editor's own dialogs is open, and on which page. */
export const useDialogs = create<{ open: DialogName | null; page: string }>(() => ({ open: null, page: "" }));

export function openDialog(name: DialogName, page = ""): void {
  useDialogs.setState({ open: name, page });
}

export function closeDialog(): void {
  useDialogs.setState({ open: null });
}
