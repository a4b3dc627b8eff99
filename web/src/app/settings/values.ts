/** What can be set, with the type of each value. `schema.ts` says how each is shown. */
import type { KeyBindings } from "../commands/registry";
import type { ThemeChoice } from "@/theme/theme";

export interface SettingValues {
  theme: ThemeChoice;
  motion: "system" | "reduced";
  "canvas.snap": boolean;
  "canvas.gridSize": number;
  "canvas.background": "dots" | "none";
  "canvas.wheel": "zoom" | "pan";
  "canvas.leftDrag": "pan" | "select";
  "canvas.zoomSpeed": number;
  "canvas.minimap": boolean;
  "canvas.guides": boolean;
  "links.style": "curved" | "straight" | "angled";
  "links.visible": boolean;
  "nodes.tooltips": boolean;
  "nodes.tooltipDelay": number;
  "nodes.idBadge": boolean;
  "nodes.lifeCycleBadges": boolean;
  "nodes.reconnectOnDelete": boolean;
  "nodes.hideAdvanced": boolean;
  "nodes.spellcheck": boolean;
  "nodes.attentionStep": number;
  "search.deprecated": boolean;
  "search.experimental": boolean;
  "search.showCategory": boolean;
  "search.showId": boolean;
  "previews.live": boolean;
  "previews.imageSize": boolean;
  "run.batchLimit": number;
  "run.notify": boolean;
  "workflow.confirmClear": boolean;
  "workflow.confirmDelete": boolean;
  "workflow.confirmClose": boolean;
  "workflow.missingReport": boolean;
  keys: KeyBindings;
  welcomed: boolean;
  recent: readonly string[];
  "search.uses": Readonly<Record<string, number>>;
  "library.bookmarks": readonly string[];
}

export type SettingKey = keyof SettingValues;

export const DEFAULTS: SettingValues = {
  theme: "dark",
  motion: "system",
  "canvas.snap": false,
  "canvas.gridSize": 10,
  "canvas.background": "dots",
  "canvas.wheel": "zoom",
  "canvas.leftDrag": "pan",
  "canvas.zoomSpeed": 1,
  "canvas.minimap": true,
  "canvas.guides": true,
  "links.style": "curved",
  "links.visible": true,
  "nodes.tooltips": true,
  "nodes.tooltipDelay": 500,
  "nodes.idBadge": false,
  "nodes.lifeCycleBadges": true,
  "nodes.reconnectOnDelete": true,
  "nodes.hideAdvanced": false,
  "nodes.spellcheck": false,
  "nodes.attentionStep": 0.05,
  "search.deprecated": false,
  "search.experimental": true,
  "search.showCategory": true,
  "search.showId": false,
  "previews.live": true,
  "previews.imageSize": true,
  "run.batchLimit": 100,
  "run.notify": true,
  "workflow.confirmClear": true,
  "workflow.confirmDelete": true,
  "workflow.confirmClose": true,
  "workflow.missingReport": true,
  keys: {},
  welcomed: false,
  recent: [],
  "search.uses": {},
  "library.bookmarks": [],
};
