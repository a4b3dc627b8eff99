import { runStore } from "@/run";

/** Whether the queue is held. */
export function isPaused(): boolean {
  return runStore.getState().paused;
}
