/** What covers the page: full-screen view, comparison, error report. Opened from anywhere; drawn once by `RunOverlays`. */
import { create } from "zustand";
import { allFiles } from "@/run/outputs";
import type { MediaFile, NodeOutputs } from "@/run/types";

export interface LightboxItem extends MediaFile {
  /** The job that made it, for "load this workflow". */
  jobId?: string;
  title?: string;
}

interface Overlays {
  lightbox: { items: readonly LightboxItem[]; index: number } | null;
  compare: { a: LightboxItem; b: LightboxItem } | null;
  /** The first of two results to compare, once chosen. */
  chosen: LightboxItem | null;
  /** Undefined: closed. Null: the error of the shown tab. */
  report: string | null | undefined;
}

export const useOverlays = create<Overlays>(() => ({ lightbox: null, compare: null, chosen: null, report: undefined }));

export function openLightbox(items: readonly LightboxItem[], index = 0): void {
  if (items.length > 0) useOverlays.setState({ lightbox: { items, index: Math.min(Math.max(0, index), items.length - 1) } });
}

/** Full-screen view of what a node showed. */
export function openOutputs(outputs: NodeOutputs, index = 0, jobId?: string): void {
  openLightbox(allFiles(outputs).map((file) => ({ ...file, ...(jobId ? { jobId } : {}) })), index);
}

export function openCompare(a: LightboxItem, b: LightboxItem): void {
  useOverlays.setState({ compare: { a, b }, chosen: null });
}

/** The first call keeps a result, the second compares with it. */
export function chooseForCompare(item: LightboxItem): void {
  const { chosen } = useOverlays.getState();
  if (chosen && !sameFile(chosen, item)) openCompare(chosen, item);
  else useOverlays.setState({ chosen: item });
}

export function sameFile(a: MediaFile, b: MediaFile): boolean {
  return a.filename === b.filename && a.subfolder === b.subfolder && a.type === b.type;
}

/** What failed and what to do; without a job, for the shown tab. */
export function openErrorReport(jobId?: string): void {
  useOverlays.setState({ report: jobId ?? null });
}
