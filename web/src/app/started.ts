import { create } from "zustand";

/** Whether the first workflow is on the page. */
export const useStarted = create<{ started: boolean }>(() => ({ started: false }));
