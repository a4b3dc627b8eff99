import { create } from "zustand";
import { ApiError, getJson } from "@/api/client";

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
      const files = await getJson<UserFile[]>("api/userdata?dir=workflows&recurse=true&split=false&full_info=true");
      set({ files: files.filter((file) => /\.json$/i.test(file.path)).sort((a, b) => b.modified - a.modified), state: "ready" });
    } catch (error) {
      // There is no folder before the first save.
      if (error instanceof ApiError && error.status === 404) set({ files: [], state: "ready" });
      else set({ state: "failed" });
    }
  },
}));
