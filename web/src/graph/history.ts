/**
 * Undo and redo by immer's patches.
 *
 * A step has the patches of one or more edits. Edits with the same `coalesce` key join the step before them, so a drag or
 * a typed sentence is one step. The counters that give out ids are left out: an undone id is never given out again.
 */
import { applyPatches, enablePatches, type Patch, produceWithPatches } from "immer";
import type { DocumentDraft } from "./drafts";
import type { Document, Scope } from "./types";

enablePatches();

export interface Step {
  readonly label: string;
  /** Where it was made, so that undo can show it. */
  readonly scope: Scope;
  readonly forward: readonly Patch[];
  readonly backward: readonly Patch[];
  readonly coalesce: string | null;
  /** Of the last edit that joined it, in milliseconds. */
  readonly at: number;
  /** Steps have a number of their own: the saved mark is one of them. */
  readonly number: number;
}

export interface History {
  readonly done: readonly Step[];
  readonly undone: readonly Step[];
  readonly next: number;
  /** The number of the last step that fell out of the limit. */
  readonly base: number;
  /** The number of the step that was the last when the document was saved; null: can no longer be reached. */
  readonly saved: number | null;
}

export interface EditOptions {
  /** Edits with the same key that follow each other closely are one step. */
  readonly coalesce?: string;
}

export const HISTORY_LIMIT = 200;
const COALESCE_MS = 1000;

export const EMPTY_HISTORY: History = { done: [], undone: [], next: 1, base: 0, saved: 0 };

interface Change {
  readonly document: Document;
  readonly history: History;
}

export interface Request extends EditOptions {
  readonly label: string;
  readonly scope: Scope;
  readonly now: number;
  /** What is to follow from an edit, as part of it; null if nothing does, or no more. */
  readonly settling?: (before: Document, after: Document) => ((draft: DocumentDraft) => void) | null;
}

/** Make an edit. The very same document and history if it changed nothing. */
export function edit(document: Document, history: History, recipe: (draft: DocumentDraft) => void, request: Request): Change {
  const [changed, patches, inverse] = settled(document, recipe, request);
  const forward = patches.filter(isUndoable);
  const backward = inverse.filter(isUndoable);
  if (forward.length === 0) return { document: changed, history };
  const last = history.done.at(-1);
  const joins = last !== undefined && canJoin(last, history, request);
  const step: Step = {
    label: request.label,
    scope: request.scope,
    forward: joins ? [...last.forward, ...forward] : forward,
    backward: joins ? [...backward, ...last.backward] : backward,
    coalesce: request.coalesce ?? null,
    at: request.now,
    number: history.next,
  };
  const kept = joins ? history.done.slice(0, -1) : history.done;
  const all = [...kept, step];
  const base = all.at(-1 - HISTORY_LIMIT)?.number ?? history.base;
  return { document: changed, history: { ...history, done: all.slice(-HISTORY_LIMIT), undone: [], next: history.next + 1, base } };
}

/** An edit with what follows from it. What follows from that again is asked for a bounded number of times. */
function settled(document: Document, recipe: (draft: DocumentDraft) => void, { settling }: Request): [Document, Patch[], Patch[]] {
  let now = document;
  const [patches, inverse]: [Patch[], Patch[]] = [[], []];
  let next: ((draft: DocumentDraft) => void) | null = recipe;
  for (let round = 0; next !== null && round < MOST_ROUNDS; round += 1) {
    const step = next;
    const [after, forward, backward] = produceWithPatches(now, (draft: DocumentDraft) => {
      step(draft);
    });
    patches.push(...forward);
    inverse.unshift(...backward);
    next = after === now ? null : (settling?.(now, after) ?? null);
    now = after;
  }
  return [now, patches, inverse];
}

const MOST_ROUNDS = 100;

function canJoin(last: Step, history: History, request: Request): boolean {
  if (request.coalesce === undefined || last.coalesce !== request.coalesce) return false;
  // A step that was saved stays as it is, else the mark would lie.
  return history.undone.length === 0 && request.now - last.at < COALESCE_MS && history.saved !== last.number;
}

function isUndoable(patch: Patch): boolean {
  return patch.path[0] !== "counters";
}

export function undo(document: Document, history: History): (Change & { step: Step }) | null {
  const step = history.done.at(-1);
  if (step === undefined) return null;
  return {
    step,
    document: applyPatches(document, step.backward as Patch[]),
    history: { ...history, done: history.done.slice(0, -1), undone: [...history.undone, closed(step)] },
  };
}

export function redo(document: Document, history: History): (Change & { step: Step }) | null {
  const step = history.undone.at(-1);
  if (step === undefined) return null;
  return {
    step,
    document: applyPatches(document, step.forward as Patch[]),
    history: { ...history, done: [...history.done, closed(step)], undone: history.undone.slice(0, -1) },
  };
}

function closed(step: Step): Step {
  return step.coalesce === null ? step : { ...step, coalesce: null };
}

/** The history in which nothing joins the last step any more. */
export function closeStep(history: History): History {
  const last = history.done.at(-1);
  if (last === undefined || last.coalesce === null) return history;
  return { ...history, done: [...history.done.slice(0, -1), closed(last)] };
}

/** The number of the last step done; 0 at the start. */
export function mark(history: History): number {
  return history.done.at(-1)?.number ?? history.base;
}

export function withSavedMark(history: History): History {
  return { ...history, saved: mark(history) };
}

export function isDirty(history: History): boolean {
  return history.saved === null || mark(history) !== history.saved;
}
