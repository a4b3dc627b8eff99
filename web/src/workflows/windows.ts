/**
 * Which browser window this is. Each keeps its own tabs; a window that is gone (closed, crashed) leaves them to the next
 * one that opens. Locks say who is alive where the browser has them (only over https or on this machine), else a question
 * on a channel that every living window answers.
 */

const KEY = "safelight.window";
const LOCK = "safelight-window-";
const CHANNEL = "safelight-windows";
const ANSWER_MS = 150;
/** A duplicated tab begins this much later, its original being there to stay. */
const LEAVING_MS = 2000;

/** The id of this window: the same after a reload, another one for a duplicated browser tab. */
export async function claimWindow(): Promise<string> {
  const before = read();
  const id = before !== null && (await isFree(before)) ? before : crypto.getRandomValues(new Uint32Array(2)).join("-");
  try {
    sessionStorage.setItem(KEY, id);
  } catch {
    // Then a reload counts as a new window and takes over this one's tabs.
  }
  stayAlive(id);
  return id;
}

/** Whether no other window lives under this id. A page that is being left holds its lock for a while after the reload has begun. */
async function isFree(id: string): Promise<boolean> {
  if (!("locks" in navigator)) return !(await livingWindows()).has(id);
  return navigator.locks.request(LOCK + id, { signal: AbortSignal.timeout(LEAVING_MS) }, () => true).catch(() => false);
}

function read(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function stayAlive(id: string): void {
  if ("locks" in navigator) void navigator.locks.request(LOCK + id, () => new Promise(() => undefined));
  if (typeof BroadcastChannel === "undefined") return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (event) => {
    if (event.data === "who") channel.postMessage({ alive: id });
  };
}

/** Ids of the other windows that are open. */
export async function livingWindows(): Promise<Set<string>> {
  if ("locks" in navigator) {
    const { held = [] } = await navigator.locks.query();
    return new Set(held.flatMap(({ name }) => (name?.startsWith(LOCK) ? [name.slice(LOCK.length)] : [])));
  }
  if (typeof BroadcastChannel === "undefined") return new Set();
  return askAround();
}

function askAround(): Promise<Set<string>> {
  return new Promise((resolve) => {
    const found = new Set<string>();
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = (event: MessageEvent<{ alive?: string }>) => {
      if (event.data.alive) found.add(event.data.alive);
    };
    channel.postMessage("who");
    setTimeout(() => {
      channel.close();
      resolve(found);
    }, ANSWER_MS);
  });
}
