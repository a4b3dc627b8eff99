/** The websocket: one connection that comes back by itself. */
import { isOwnMessage, readBinary, type Message, type PreviewMessage, type TextMessage } from "./messages";
import { clientId } from "./session";

export type Connection = "connecting" | "connected" | "reconnecting" | "lost";

export interface SocketListener {
  onMessage(message: Message): void;
  /** What a pack sends: any JSON. */
  onPackMessage(event: string, data: unknown): void;
  onPreview(preview: PreviewMessage): void;
  onText(text: TextMessage): void;
  onConnection(state: Connection): void;
}

export const FEATURES = { supports_preview_metadata: true, supports_progress_text_metadata: true };

/** Milliseconds before the first, second, … attempt to come back. */
export const DELAYS = [250, 500, 1000, 2000, 4000, 5000];
/** After so many attempts in vain the server counts as lost; attempts go on. */
export const LOST_AFTER = 3;
/** A connection that was open for so long was a good one: the next attempt is soon again. */
const GOOD_MS = 5000;

export class Socket {
  #listener: SocketListener;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #attempts = 0;
  #opened = 0;
  #everConnected = false;
  #closed = false;

  constructor(listener: SocketListener) {
    this.#listener = listener;
    if (typeof window !== "undefined") window.addEventListener("online", this.retry);
    this.#connect();
  }

  /** Try again now, whatever the wait was. */
  retry = (): void => {
    if (this.#closed || this.#socket?.readyState === WebSocket.OPEN) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#drop();
    this.#connect();
  };

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    if (typeof window !== "undefined") window.removeEventListener("online", this.retry);
    this.#drop();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    }
  }

  #connect(): void {
    this.#listener.onConnection(!this.#everConnected && this.#attempts === 0 ? "connecting" : this.#waitingState());
    const url = new URL(`ws?clientId=${encodeURIComponent(clientId())}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#opened = Date.now();
      this.#everConnected = true;
      socket.send(JSON.stringify({ type: "feature_flags", data: FEATURES }));
      this.#listener.onConnection("connected");
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#take(event.data);
    socket.onclose = () => this.#comeBack();
  }

  #waitingState(): Connection {
    return this.#attempts >= LOST_AFTER ? "lost" : "reconnecting";
  }

  #comeBack(): void {
    this.#drop();
    if (this.#closed) return;
    if (this.#opened && Date.now() - this.#opened > GOOD_MS) this.#attempts = 0;
    this.#opened = 0;
    const delay = DELAYS[Math.min(this.#attempts, DELAYS.length - 1)] ?? 5000;
    this.#attempts += 1;
    this.#listener.onConnection(this.#waitingState());
    // Many tabs must not all come back in the same moment.
    this.#timer = setTimeout(() => this.#connect(), delay * (0.8 + Math.random() * 0.4));
  }

  #take(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      this.#takeText(data);
      return;
    }
    const found = readBinary(data);
    if (!found) return;
    if ("preview" in found) this.#listener.onPreview(found.preview);
    else this.#listener.onText(found.text);
  }

  #takeText(text: string): void {
    const { type, data } = parse(text) ?? {};
    if (typeof type !== "string") return;
    if (!isOwnMessage(type)) this.#listener.onPackMessage(type, data);
    else if (typeof data === "object" && data !== null) this.#listener.onMessage({ type, data } as Message);
  }
}

function parse(text: string): { type?: unknown; data?: unknown } | null {
  try {
    return JSON.parse(text) as { type?: unknown; data?: unknown } | null;
  } catch {
    return null;
  }
}
