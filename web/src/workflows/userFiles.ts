import { create } from "zustand";
import { filesIn } from "./userFolder";

export interface UserFile {
  path: string;
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

interface UserFiles {
  files: readonly UserFile[];
  state: "idle" | "loading" | "ready" | "failed";
  refresh: () => Promise<void>;
}

/** The workflows in the user's folder on the server. */
export const useUserFiles = create<UserFiles>((set) => ({
  files: [],
  state: "idle",
  refresh: async () => {
    set((before) => ({ state: before.state === "ready" ? "ready" : "loading" }));
    try {
      const files = await filesIn<UserFile>("workflows", "&full_info=true");
      set({ files: files.filter((file) => /\.json$/i.test(file.path)).sort((a, b) => b.modified - a.modified), state: "ready" });
    } catch {
      set({ state: "failed" });
    }
  },
}));
