/** Colours for nodes and groups. The values are those that saved workflows of the field hold, so files look the same everywhere. */
export const COLORS = {
  red: { color: "#322", bgcolor: "#533", group: "#A88" },
  brown: { color: "#332922", bgcolor: "#593930", group: "#b06634" },
  green: { color: "#232", bgcolor: "#353", group: "#8A8" },
  blue: { color: "#223", bgcolor: "#335", group: "#88A" },
  "pale blue": { color: "#2a363b", bgcolor: "#3f5159", group: "#3f789e" },
  cyan: { color: "#233", bgcolor: "#355", group: "#8AA" },
  purple: { color: "#323", bgcolor: "#535", group: "#a1309b" },
  yellow: { color: "#432", bgcolor: "#653", group: "#b58b2a" },
  black: { color: "#222", bgcolor: "#000", group: "#444" },
} as const;

export type ColorName = keyof typeof COLORS;
export const COLOR_NAMES = Object.keys(COLORS) as ColorName[];
