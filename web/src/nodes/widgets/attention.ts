/** Attention weights in prompts: `(text:1.1)`. */

export interface Edit {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Changes the weight of what is selected, or of the word or bracket at the caret, by `delta`. */
export function changeWeight(text: string, start: number, end: number, delta: number): Edit {
  const around = bracketAt(text, start, end);
  if (around !== null) return withWeight(text, around, delta);
  let [from, to] = start === end ? wordAt(text, start) : [start, end];
  while (from < to && /\s/.test(text[from] ?? "")) from += 1;
  while (to > from && /\s/.test(text[to - 1] ?? "")) to -= 1;
  if (from === to) return { text, start, end };
  const weight = rounded(1 + delta);
  const inner = text.slice(from, to);
  const next = `(${inner}:${weight})`;
  return { text: text.slice(0, from) + next + text.slice(to), start: from + 1, end: from + 1 + inner.length };
}

interface Bracket {
  readonly open: number;
  readonly close: number;
  readonly inner: string;
  readonly weight: number;
}

/** The innermost weighted bracket that holds the selection. */
function bracketAt(text: string, start: number, end: number): Bracket | null {
  let best: Bracket | null = null;
  for (const match of text.matchAll(/\(([^()]*(?:\([^()]*\)[^()]*)*):(-?\d+(?:\.\d+)?)\)/g)) {
    const [open, close] = [match.index, match.index + match[0].length];
    if (open <= start && end <= close) best = { open, close, inner: match[1] ?? "", weight: Number(match[2]) };
  }
  return best;
}

function withWeight(text: string, { open, close, inner, weight }: Bracket, delta: number): Edit {
  const next = rounded(weight + delta);
  const plain = next === "1.0" || Number(next) === 1;
  const part = plain ? inner : `(${inner}:${next})`;
  const start = plain ? open : open + 1;
  return { text: text.slice(0, open) + part + text.slice(close), start, end: start + inner.length };
}

function wordAt(text: string, at: number): [number, number] {
  const breaks = /[\s,.()[\]{}|:;!?"]/;
  let [from, to] = [at, at];
  while (from > 0 && !breaks.test(text[from - 1] ?? "")) from -= 1;
  while (to < text.length && !breaks.test(text[to] ?? "")) to += 1;
  return [from, to];
}

function rounded(value: number): string {
  return String(Number(value.toFixed(3)));
}
