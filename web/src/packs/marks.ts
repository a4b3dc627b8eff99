/**
 * Finds modules that never come back. Code of a pack runs in the page, so an endless loop in it stops the page, and the next
 * visit would run into it again. So what is about to be called is noted before and struck out after; a note that is still
 * there when the page starts names the pack to leave out.
 */
const KEY = "safelight.calling";

/** Calls code of a pack. */
export function marked<T>(pack: string, call: () => T): T {
  note(pack);
  try {
    return call();
  } finally {
    note(null);
  }
}

/** The same for what comes later, such as the import of a module. A page that is left meanwhile did not hang. */
export async function markedUntil<T>(pack: string, result: Promise<T>): Promise<T> {
  const left = (): void => note(null);
  window.addEventListener("pagehide", left);
  note(pack);
  try {
    return await result;
  } finally {
    window.removeEventListener("pagehide", left);
    note(null);
  }
}

/** The pack whose code did not come back at the last visit, once: the next visit tries it again. */
export function takeStuck(): string | null {
  try {
    const pack = localStorage.getItem(KEY);
    note(null);
    return pack;
  } catch {
    return null;
  }
}

function note(pack: string | null): void {
  try {
    if (pack === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, pack);
  } catch {
    // Without storage a module that hangs has to be removed by hand.
  }
}
