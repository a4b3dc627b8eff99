/** What the server says to people beside the runs: warnings, a worker that was lost. */
const listeners = new Set<(text: string) => void>();

export function onNotice(listener: (text: string) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function notify(text: string): void {
  for (const listener of listeners) listener(text);
}
