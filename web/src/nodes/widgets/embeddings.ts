import { embeddings } from "@/api/calls";

let asked: Promise<readonly string[]> | null = null;

/** Names of the text embeddings on the server, asked for once; again after a refresh of the lists. */
export function embeddingNames(): Promise<readonly string[]> {
  asked ??= embeddings().catch(() => {
    asked = null;
    return [];
  });
  return asked;
}

export function forgetEmbeddings(): void {
  asked = null;
}

/** What is being typed after `embedding:` before the caret; null if nothing is. */
export function embeddingBefore(text: string, caret: number): { from: number; part: string } | null {
  const match = /embedding:([^\s,():]*)$/i.exec(text.slice(0, caret));
  return match ? { from: caret - (match[1] ?? "").length, part: match[1] ?? "" } : null;
}
