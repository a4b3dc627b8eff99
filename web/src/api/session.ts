/** The id under which this browser tab hears of its jobs; kept over reloads of the tab. */
const KEY = "safelight.client";
let known: string | null = null;

export function clientId(): string {
  known ??= stored() ?? made();
  return known;
}

function stored(): string | null {
  try {
    // A duplicated tab copies the session storage of the first: two tabs would fight for one connection.
    const fresh = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined;
    return fresh && fresh.type === "navigate" ? null : sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function made(): string {
  const id = randomId();
  try {
    sessionStorage.setItem(KEY, id);
  } catch {
    // Storage may be forbidden: then a reload makes a new id.
  }
  return id;
}

/** An id for a job, in the form that the server itself gives. */
export function jobId(): string {
  return randomId().replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}

/** Works without a secure context, where `crypto.randomUUID` is missing (a server on the local network). */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
