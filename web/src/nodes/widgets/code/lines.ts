/** Lines of a code text, and what was said of them. */

export interface Remark {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

const MOST = 20;

/** What a problem says of lines: "line 7: 'x' : undeclared identifier", each line once. */
export function remarksOf(told: string): readonly Remark[] {
  const found = new Map<number, string>();
  for (const [, line, text] of told.matchAll(/\bline (\d+): ([^\n]+)/g)) {
    if (found.size < MOST && !found.has(Number(line))) found.set(Number(line), text?.trim() ?? "");
  }
  return [...found].map(([line, text]) => ({ line, text }));
}

/** Where a line begins and ends in a text; the last one for what is beyond. */
export function placeOf(text: string, line: number): readonly [number, number] {
  const lines = text.split("\n");
  const at = Math.min(Math.max(line, 1), lines.length) - 1;
  const start = lines.slice(0, at).reduce((sum, one) => sum + one.length + 1, 0);
  return [start, start + (lines[at]?.length ?? 0)];
}
