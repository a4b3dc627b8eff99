/** New lines of the server's log, for whoever shows them. */
import type { LogEntry } from "@/api/schema.gen";

const readers = new Set<(entries: LogEntry[]) => void>();

export function onLogs(reader: (entries: LogEntry[]) => void): () => void {
  readers.add(reader);
  return () => readers.delete(reader);
}

export function tellLogs(entries: LogEntry[]): void {
  for (const reader of readers) reader(entries);
}
