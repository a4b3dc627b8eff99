/** Colour and shape of a socket by its type: two people who cannot tell the colours apart still have the shape and the label. */

export type SocketShape = "circle" | "square" | "diamond" | "triangle" | "hexagon" | "pill" | "ring";

interface SocketLook {
  token: string;
  shape: SocketShape;
}

const LOOKS: Record<string, SocketLook> = {
  MODEL: { token: "model", shape: "hexagon" },
  CLIP: { token: "clip", shape: "hexagon" },
  VAE: { token: "vae", shape: "hexagon" },
  CONTROL_NET: { token: "control-net", shape: "hexagon" },
  CLIP_VISION: { token: "vision", shape: "hexagon" },
  CLIP_VISION_OUTPUT: { token: "vision", shape: "diamond" },
  STYLE_MODEL: { token: "vision", shape: "hexagon" },
  UPSCALE_MODEL: { token: "control-net", shape: "hexagon" },
  GLIGEN: { token: "vision", shape: "hexagon" },
  CONDITIONING: { token: "conditioning", shape: "diamond" },
  LATENT: { token: "latent", shape: "circle" },
  IMAGE: { token: "image", shape: "square" },
  MASK: { token: "mask", shape: "square" },
  VIDEO: { token: "video", shape: "square" },
  AUDIO: { token: "audio", shape: "square" },
  MESH: { token: "mesh", shape: "square" },
  SAMPLER: { token: "sampler", shape: "triangle" },
  SIGMAS: { token: "sigmas", shape: "triangle" },
  NOISE: { token: "noise", shape: "triangle" },
  GUIDER: { token: "guider", shape: "triangle" },
  INT: { token: "int", shape: "pill" },
  FLOAT: { token: "float", shape: "pill" },
  STRING: { token: "string", shape: "pill" },
  COMBO: { token: "string", shape: "pill" },
  BOOLEAN: { token: "boolean", shape: "pill" },
  "*": { token: "any", shape: "ring" },
};

/** Types of packs get a lasting colour from their name, out of these. */
const SPARE = ["model", "clip", "vae", "conditioning", "latent", "image", "mask", "control-net", "guider", "mesh", "video", "sigmas"];

function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

function look(type: string): SocketLook {
  const known = LOOKS[type] ?? LOOKS[type.split(",")[0]?.trim().toUpperCase() ?? ""];
  if (known) return known;
  if (!type) return { token: "other", shape: "circle" };
  return { token: SPARE[hash(type) % SPARE.length] ?? "other", shape: "circle" };
}

/** `var(--socket-…)`, for CSS. A union ("IMAGE,MASK") takes its first type's. */
export function socketColor(type: string): string {
  return `var(--socket-${look(type).token})`;
}

/** The shape that goes with it. */
export function socketShape(type: string): SocketShape {
  return look(type).shape;
}

/** The bare token name (`--socket-model`), for `themeColor` when drawing on a canvas element. */
export function socketToken(type: string): string {
  return `--socket-${look(type).token}`;
}
