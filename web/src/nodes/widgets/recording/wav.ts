/** Sound as a WAV file: 16 bits, as the field's front end records. */

const HEADER = 44;
const LARGEST = 0x7fff;

/** Channels of equal length with samples from -1 to 1; what is beyond is cut. */
export function wavOf(channels: readonly Float32Array[], rate: number): ArrayBuffer {
  const frames = channels[0]?.length ?? 0;
  const size = frames * channels.length * 2;
  const file = new ArrayBuffer(HEADER + size);
  const view = new DataView(file);
  const word = (at: number, letters: string): void => [...letters].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, HEADER - 8 + size, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels.length * 2, true);
  view.setUint16(32, channels.length * 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, size, true);
  let at = HEADER;
  for (let frame = 0; frame < frames; frame++) {
    for (const channel of channels) {
      view.setInt16(at, Math.round(Math.min(Math.max(channel[frame] ?? 0, -1), 1) * LARGEST), true);
      at += 2;
    }
  }
  return file;
}
