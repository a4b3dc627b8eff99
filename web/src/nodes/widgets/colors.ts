/** Colours as widgets hold them: `#rrggbb`, `#rrggbbaa`, `#rgb`, or a number 0xRRGGBB. */
import type { Json } from "@/graph/types";

const SIX = /^#[\da-f]{6}([\da-f]{2})?$/i;
const THREE = /^#[\da-f]{3}$/i;
const MOST = 0xffffff;

/** What a picker of colours shows; black for what is none. */
export function hexOf(value: Json): string {
  if (typeof value === "number" && value >= 0 && value <= MOST) return `#${Math.round(value).toString(16).padStart(6, "0")}`;
  const text = String(value ?? "");
  if (SIX.test(text)) return text.slice(0, 7);
  return THREE.test(text) ? `#${[...text.slice(1)].map((one) => one + one).join("")}` : "#000000";
}

/** The value with another colour: a number stays a number, and opacity stays. */
export function withHex(value: Json, hex: string): Json {
  if (typeof value === "number") return Number.parseInt(hex.slice(1), 16);
  return SIX.test(String(value)) ? `${hex}${String(value).slice(7)}` : hex;
}

/** What was typed: of a number, numbers and the hexadecimal form count. */
export function typedColor(text: string, before: Json): Json {
  if (typeof before !== "number") return text;
  if (SIX.test(text)) return Number.parseInt(text.slice(1, 7), 16);
  const read = Number(text);
  return Number.isInteger(read) ? read : before;
}
