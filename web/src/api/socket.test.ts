// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readBinary } from "./messages";
import { Socket, type Connection } from "./socket";

class Fake {
  static made: Fake[] = [];
  static readonly OPEN = 1;
  readyState = 0;
  sent: string[] = [];
  binaryType = "";
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  url: string;
  constructor(url: URL) {
    this.url = String(url);
    Fake.made.push(this);
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  fail() {
    this.readyState = 3;
    this.onclose?.();
  }
}

const states: Connection[] = [];
const messages: unknown[] = [];
const fromPacks: unknown[] = [];
const listener = { onMessage: (message: unknown) => messages.push(message), onPackMessage: (event: string, data: unknown) => fromPacks.push([event, data]), onPreview: vi.fn(), onText: vi.fn(), onConnection: (state: Connection) => states.push(state) };
let socket: Socket;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Fake);
  Fake.made = [];
  states.length = messages.length = 0;
  socket = new Socket(listener);
});
afterEach(() => {
  socket.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("says what it understands first, and goes by the session's id", () => {
  Fake.made[0]?.open();
  expect(Fake.made[0]?.url).toMatch(/^ws:.*\/ws\?clientId=[0-9a-f]{32}$/);
  expect(JSON.parse(Fake.made[0]?.sent[0] ?? "")).toMatchObject({ type: "feature_flags", data: { supports_preview_metadata: true } });
  expect(states).toEqual(["connecting", "connected"]);
});

test("comes back with the same id, and calls the server lost after some attempts in vain", () => {
  Fake.made[0]?.open();
  Fake.made[0]?.fail();
  expect(states.at(-1)).toBe("reconnecting");
  for (let count = 0; count < 4; count++) {
    vi.advanceTimersByTime(6000);
    Fake.made.at(-1)?.fail();
  }
  expect(states.at(-1)).toBe("lost");
  vi.advanceTimersByTime(6000);
  Fake.made.at(-1)?.open();
  expect(states.at(-1)).toBe("connected");
  expect(Fake.made.at(-1)?.url).toBe(Fake.made[0]?.url);
});

test("passes over what is no message", () => {
  const first = Fake.made[0];
  first?.open();
  for (const data of ["", "{", "[]", "null", '{"type":5,"data":{}}', '{"type":"status"}', new ArrayBuffer(3), new ArrayBuffer(12)]) first?.onmessage?.({ data });
  expect(messages).toEqual([]);
  first?.onmessage?.({ data: '{"type":"status","data":{}}' });
  expect(messages).toHaveLength(1);
});

function frame(code: number, ...parts: (number | string)[]): ArrayBuffer {
  const pieces = [code, ...parts].map((part) => {
    if (typeof part === "string") return new TextEncoder().encode(part);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, part);
    return bytes;
  });
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole.buffer;
}

test("what packs send is any JSON, and is kept apart from what the server says", () => {
  fromPacks.length = 0;
  const say = (message: unknown) => Fake.made[0]?.onmessage?.({ data: JSON.stringify(message) });
  say({ type: "pack.told", data: [1, null] });
  say({ type: "pack.told", data: "words" });
  say({ type: "toString", data: { prompt_id: "j" } });
  say({ type: "executing", data: "no object" });
  expect(fromPacks).toEqual([["pack.told", [1, null]], ["pack.told", "words"], ["toString", { prompt_id: "j" }]]);
  expect(messages).toEqual([]);
});

test("reads previews and texts", async () => {
  const head = JSON.stringify({ node_id: "5:2", display_node_id: "5:2", prompt_id: "j", image_type: "image/png" });
  const preview = readBinary(frame(4, head.length, head, "pixels"));
  expect(preview).toMatchObject({ preview: { job: "j", node: "5:2" } });
  expect(readBinary(frame(1, 2, "png"))).toMatchObject({ preview: { job: null, picture: { type: "image/png" } } });
  expect(readBinary(frame(3, 1, "j", 3, "5:2", "step"))).toEqual({ text: { job: "j", node: "5:2", text: "step" } });
  expect(readBinary(frame(4, 4000, "x"))).toBeNull();
  expect(readBinary(frame(3, 4000, "x"))).toBeNull();
});
