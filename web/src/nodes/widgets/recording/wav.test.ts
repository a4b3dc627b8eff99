import { expect, test } from "vitest";
import { wavOf } from "./wav";

test("a WAV file of 16 bits: header, channels in turn, what is too loud cut", () => {
  const file = new DataView(wavOf([Float32Array.of(0, 1, -1), Float32Array.of(0.5, 2, -3)], 48000));
  const word = (at: number) => String.fromCharCode(...[0, 1, 2, 3].map((index) => file.getUint8(at + index)));
  expect([word(0), word(8), word(12), word(36)]).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
  expect([file.getUint32(4, true), file.getUint32(16, true), file.getUint16(20, true), file.getUint16(22, true)]).toEqual([48, 16, 1, 2]);
  expect([file.getUint32(24, true), file.getUint32(28, true), file.getUint16(32, true), file.getUint16(34, true), file.getUint32(40, true)]).toEqual([48000, 192000, 4, 16, 12]);
  expect([44, 46, 48, 50, 52, 54].map((at) => file.getInt16(at, true))).toEqual([0, 16384, 32767, 32767, -32767, -32767]);
});
