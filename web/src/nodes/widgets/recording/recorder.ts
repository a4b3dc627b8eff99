/** Sound from a microphone into a file. */
import { close, opened } from "../devices/devices";
import { wavOf } from "./wav";

export interface Recording {
  /** Ends it; the file comes. */
  stop(): Promise<File>;
  /** Ends it, and forgets what was said. */
  drop(): void;
}

/** Begins at once. Throws an Error that says why it cannot. */
export async function record(): Promise<Recording> {
  const stream = await opened("audio");
  const recorder = new MediaRecorder(stream);
  const parts: Blob[] = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const ended = new Promise<void>((resolve) => recorder.addEventListener("stop", () => resolve(), { once: true }));
  recorder.start();
  const end = async (): Promise<void> => {
    if (recorder.state !== "inactive") recorder.stop();
    await ended;
    close(stream);
  };
  return {
    async stop() {
      await end();
      return asWav(new Blob(parts, { type: recorder.mimeType }));
    },
    drop: () => void end(),
  };
}

/** What browsers record does not say how long it is, and not every program reads it. */
async function asWav(blob: Blob): Promise<File> {
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    const channels = Array.from({ length: sound.numberOfChannels }, (_, at) => sound.getChannelData(at));
    return new File([wavOf(channels, sound.sampleRate)], `recording-${Date.now()}.wav`, { type: "audio/wav" });
  } finally {
    void context.close();
  }
}
