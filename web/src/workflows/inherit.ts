import type { TabRecord } from "./database";

interface Inheritance {
  taken: readonly TabRecord[];
  /** Holds nothing that is not elsewhere. */
  dropped: readonly TabRecord[];
}

/** More than an untouched template or an empty workflow. */
function matters(record: TabRecord): boolean {
  return record.unsaved || record.path !== null;
}

function latest(records: readonly TabRecord[]): TabRecord | null {
  return records.reduce<TabRecord | null>((best, one) => (best === null || one.at > best.at ? one : best), null);
}

/**
 * What a new window takes over from windows that are gone: all tabs of the last one that held anything, and unsaved work
 * of every other one. Whatever is left is in files or was never touched.
 */
export function inherit(left: readonly TabRecord[]): Inheritance {
  const newest = latest(left.filter(matters)) ?? latest(left);
  const taken = left.filter((one) => one.window === newest?.window);
  const others = left.filter((one) => one.window !== newest?.window && one.unsaved).map((one) => ({ ...one, active: false }));
  const keys = new Set([...taken, ...others].map((one) => `${one.window}/${one.id}`));
  return { taken: [...taken, ...others], dropped: left.filter((one) => !keys.has(`${one.window}/${one.id}`)) };
}
