/** What the server tells of its node packs, and what went wrong with their modules in this page. */
import { create } from "zustand";
import type { PackReport } from "@/api/calls";

export type { PackReport };

interface PacksState {
  /** Null until the server has told. */
  packs: readonly PackReport[] | null;
  /** Pack → what its module did wrong. */
  problems: ReadonlyMap<string, readonly string[]>;
  /** Node type → the pack that had it at some time of this visit. */
  owners: ReadonlyMap<string, string>;
}

export const usePacks = create<PacksState>(() => ({ packs: null, problems: new Map(), owners: new Map() }));

export function setPacks(packs: readonly PackReport[]): void {
  const found = packs.flatMap((pack) => pack.nodes.map((node) => [node, pack.name] as const));
  usePacks.setState(({ owners }) => ({ packs, owners: new Map([...owners, ...found]) }));
}

export function addProblem(pack: string, problem: string): void {
  usePacks.setState(({ problems }) => {
    const before = problems.get(pack) ?? [];
    return before.includes(problem) ? {} : { problems: new Map(problems).set(pack, [...before, problem]) };
  });
}

export function clearProblems(pack: string): void {
  usePacks.setState(({ problems }) => ({ problems: new Map([...problems].filter(([name]) => name !== pack)) }));
}

/** Everything that is wrong with a pack. */
export function errorsOf(pack: PackReport, { problems }: Pick<PacksState, "problems">): readonly string[] {
  return [...pack.errors, ...(problems.get(pack.name) ?? [])];
}

/** The packs that need a look. */
export function troubled(state: Pick<PacksState, "packs" | "problems">): readonly PackReport[] {
  return (state.packs ?? []).filter((pack) => pack.state === "failed" || errorsOf(pack, state).length > 0);
}

/** Which pack would have a missing node, if that can be told. */
export function packOfMissing(type: string, properties: Readonly<Record<string, unknown>>, { packs, owners }: Pick<PacksState, "packs" | "owners">): PackReport | undefined {
  const suspects = (packs ?? []).filter((pack) => pack.state !== "loaded" || pack.errors.length > 0);
  if (suspects.length === 0) return undefined;
  const word = new RegExp(`(?<![\\w])${type.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w])`);
  // What editors of the field note in a node about where it is from.
  const noted = [properties["cnr_id"], String(properties["aux_id"] ?? "").split("/").at(-1)].map(plain).filter(Boolean);
  return (
    suspects.find((pack) => pack.name === owners.get(type)) ??
    suspects.find((pack) => noted.includes(plain(pack.name))) ??
    suspects.find((pack) => pack.errors.some((error) => word.test(error)))
  );
}

function plain(name: unknown): string {
  return typeof name === "string" ? name.toLowerCase().replace(/[-_. ]+/g, "") : "";
}

/** Why a node is missing; null if no pack's report says. */
export function whyMissing(pack: PackReport | undefined): string | null {
  if (pack === undefined) return null;
  if (pack.state === "disabled") return `Its pack “${pack.name}” is switched off.`;
  return pack.state === "failed" ? `Its pack “${pack.name}” failed to load.` : `Its pack “${pack.name}” has errors.`;
}
