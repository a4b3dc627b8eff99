/** What nodes showed, sorted by kind. */
import type { Media, MediaFile, NodeOutputs } from "./types";

const BY_EXTENSION: Record<string, Media> = {
  ...group("image", "png jpg jpeg webp gif bmp svg avif tiff"),
  ...group("video", "mp4 webm mkv mov m4v avi"),
  ...group("audio", "wav mp3 flac ogg opus m4a"),
};

/** Keys under which nodes show media, whatever the file is called. */
const BY_KEY: Record<string, Media> = { images: "image", gifs: "video", video: "video", videos: "video", audio: "audio" };

function group(media: Media, extensions: string): Record<string, Media> {
  return Object.fromEntries(extensions.split(" ").map((extension) => [extension, media]));
}

export function mediaOf(filename: string, key?: string): Media {
  const extension = filename.slice(filename.lastIndexOf(".") + 1).toLowerCase();
  return BY_EXTENSION[extension] ?? (key ? BY_KEY[key] : undefined) ?? "file";
}

function fileOf(entry: unknown, key: string, animated: boolean): MediaFile | null {
  if (typeof entry !== "object" || entry === null) return null;
  const { filename, subfolder, type } = entry as Partial<Record<string, unknown>>;
  if (typeof filename !== "string" || filename === "") return null;
  return {
    filename,
    subfolder: typeof subfolder === "string" ? subfolder : "",
    type: typeof type === "string" ? type : "output",
    media: mediaOf(filename, key),
    ...(animated ? { animated: true } : {}),
  };
}

/** Reads the ui output of a node. */
export function readOutputs(raw: Record<string, unknown>): NodeOutputs {
  const found: NodeOutputs = { images: [], video: [], audio: [], files: [], text: [], raw };
  const animated = Array.isArray(raw["animated"]) && raw["animated"].some(Boolean);
  for (const [key, value] of Object.entries(raw)) {
    if (key === "text" || key === "string") found.text.push(...texts(value));
    if (!Array.isArray(value)) continue;
    for (const entry of value) {
      const file = fileOf(entry, key, animated);
      if (file) listFor(found, file.media).push(file);
    }
  }
  return found;
}

function listFor(outputs: NodeOutputs, media: Media): MediaFile[] {
  return { image: outputs.images, video: outputs.video, audio: outputs.audio, file: outputs.files }[media];
}

function texts(value: unknown): string[] {
  const list = Array.isArray(value) ? value.flat(2) : [value];
  return list.filter((one) => one !== null && one !== undefined).map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
}

/** All files of what nodes showed, in one list: pictures, video, audio, others. */
export function allFiles(outputs: NodeOutputs): MediaFile[] {
  return [...outputs.images, ...outputs.video, ...outputs.audio, ...outputs.files];
}

/** The outputs of several nodes as those of one. */
export function mergeOutputs(all: readonly NodeOutputs[]): NodeOutputs | undefined {
  if (all.length < 2) return all[0];
  const raw = Object.assign({}, ...all.map((one) => one.raw)) as Record<string, unknown>;
  return {
    images: all.flatMap((one) => one.images),
    video: all.flatMap((one) => one.video),
    audio: all.flatMap((one) => one.audio),
    files: all.flatMap((one) => one.files),
    text: all.flatMap((one) => one.text),
    raw,
  };
}
