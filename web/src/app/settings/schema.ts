/** How each setting is shown in the settings dialog. */
import { DEFAULTS, type SettingKey, type SettingValues } from "./values";

type KeysOf<T> = { [K in SettingKey]: SettingValues[K] extends T ? K : never }[SettingKey];

interface Shown {
  label: string;
  doc?: string;
}

export type SettingRow =
  | ({ kind: "switch"; key: KeysOf<boolean> } & Shown)
  | ({ kind: "slider"; key: KeysOf<number>; min: number; max: number; step: number; unit?: string } & Shown)
  | ({ kind: "choice"; key: KeysOf<string>; options: readonly { value: string; label: string }[] } & Shown);

export interface SettingSection {
  id: string;
  title: string;
  rows: readonly SettingRow[];
}

export const SECTIONS: readonly SettingSection[] = [
  {
    id: "appearance",
    title: "Appearance",
    rows: [
      {
        kind: "choice",
        key: "theme",
        label: "Theme",
        options: [
          { value: "dark", label: "Dark" },
          { value: "light", label: "Light" },
          { value: "contrast", label: "High contrast" },
          { value: "system", label: "Follow the system" },
        ],
      },
      {
        kind: "choice",
        key: "motion",
        label: "Animations",
        options: [
          { value: "system", label: "Follow the system" },
          { value: "reduced", label: "Off" },
        ],
      },
    ],
  },
  {
    id: "canvas",
    title: "Canvas",
    rows: [
      {
        kind: "choice",
        key: "canvas.leftDrag",
        label: "Dragging on the empty canvas",
        doc: "Hold Space or use the middle button to pan in either case.",
        options: [
          { value: "pan", label: "Pans the view" },
          { value: "select", label: "Selects with a box" },
        ],
      },
      {
        kind: "choice",
        key: "canvas.wheel",
        label: "Mouse wheel",
        options: [
          { value: "zoom", label: "Zooms" },
          { value: "pan", label: "Pans (Ctrl zooms)" },
        ],
      },
      { kind: "slider", key: "canvas.zoomSpeed", label: "Zoom speed", min: 0.5, max: 2, step: 0.1, unit: "×" },
      { kind: "switch", key: "canvas.snap", label: "Snap to grid" },
      { kind: "slider", key: "canvas.gridSize", label: "Grid size", min: 5, max: 50, step: 5, unit: "px" },
      { kind: "switch", key: "canvas.guides", label: "Alignment guides while dragging" },
      { kind: "switch", key: "canvas.minimap", label: "Minimap" },
      {
        kind: "choice",
        key: "canvas.background",
        label: "Background",
        options: [
          { value: "dots", label: "Grid" },
          { value: "none", label: "Plain" },
        ],
      },
    ],
  },
  {
    id: "links",
    title: "Links",
    rows: [
      {
        kind: "choice",
        key: "links.style",
        label: "Shape",
        options: [
          { value: "curved", label: "Curved" },
          { value: "straight", label: "Straight" },
          { value: "angled", label: "Angled" },
        ],
      },
      { kind: "switch", key: "links.visible", label: "Show links" },
    ],
  },
  {
    id: "nodes",
    title: "Nodes",
    rows: [
      { kind: "switch", key: "nodes.tooltips", label: "Tooltips on inputs and widgets" },
      { kind: "slider", key: "nodes.tooltipDelay", label: "Tooltip delay", min: 0, max: 2000, step: 100, unit: "ms" },
      { kind: "switch", key: "nodes.hideAdvanced", label: "Hide advanced widgets" },
      { kind: "switch", key: "nodes.idBadge", label: "Show node ids" },
      { kind: "switch", key: "nodes.lifeCycleBadges", label: "Mark deprecated and experimental nodes" },
      { kind: "switch", key: "nodes.reconnectOnDelete", label: "Join the links of a deleted node", doc: "Its neighbours are connected as if it had been bypassed." },
      { kind: "switch", key: "nodes.spellcheck", label: "Spell checking in prompts" },
      { kind: "slider", key: "nodes.attentionStep", label: "Step of attention weights", doc: "Ctrl+↑ and Ctrl+↓ on selected prompt text.", min: 0.01, max: 0.5, step: 0.01 },
    ],
  },
  {
    id: "search",
    title: "Node search",
    rows: [
      { kind: "switch", key: "search.showCategory", label: "Show categories" },
      { kind: "switch", key: "search.showId", label: "Show class names" },
      { kind: "switch", key: "search.experimental", label: "Show experimental nodes" },
      { kind: "switch", key: "search.deprecated", label: "Show deprecated nodes" },
    ],
  },
  {
    id: "run",
    title: "Run and previews",
    rows: [
      { kind: "switch", key: "previews.live", label: "Results and live previews on nodes" },
      { kind: "switch", key: "previews.imageSize", label: "Size in pixels below pictures" },
      { kind: "slider", key: "run.batchLimit", label: "Highest batch count", min: 1, max: 500, step: 1 },
      { kind: "switch", key: "run.notify", label: "Message when a run ends in another tab" },
    ],
  },
  {
    id: "workflows",
    title: "Workflows",
    rows: [
      { kind: "switch", key: "workflow.confirmClose", label: "Ask before closing a tab with unsaved changes" },
      { kind: "switch", key: "workflow.confirmClear", label: "Ask before clearing a workflow" },
      { kind: "switch", key: "workflow.confirmDelete", label: "Ask before deleting a workflow" },
      { kind: "switch", key: "workflow.missingReport", label: "Report missing node types on opening" },
    ],
  },
];

/** Sections with the rows that match, for the search of the dialog. */
export function searchSections(text: string): SettingSection[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return SECTIONS.map((section) => ({
    ...section,
    rows: section.rows.filter((row) => {
      const all = `${section.title} ${row.label} ${row.doc ?? ""}`.toLowerCase();
      return words.every((word) => all.includes(word));
    }),
  })).filter((section) => section.rows.length > 0);
}

/** Whether a stored value may be used: stored files can be edited by hand or come from another version. */
export function isValid<K extends SettingKey>(key: K, value: unknown): value is SettingValues[K] {
  const standard = DEFAULTS[key];
  if (Array.isArray(standard)) return Array.isArray(value) && value.every((item) => typeof item === "string");
  if (typeof standard === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  if (typeof value !== typeof standard) return false;
  const row = SECTIONS.flatMap((section) => section.rows).find((one) => one.key === key);
  if (row?.kind === "choice") return row.options.some((option) => option.value === value);
  if (row?.kind === "slider") return typeof value === "number" && value >= row.min && value <= row.max;
  return true;
}
