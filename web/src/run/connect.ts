/** Keeps the connection to the server, and the numbers that go with it. */
import { queueState } from "@/api/calls";
import type { Message } from "@/api/messages";
import { Socket, type Connection } from "@/api/socket";
import { tellPacks } from "@/packs/messages";
import { checkOpenJobs, onMessage, onPreview, onText } from "./follow";
import { tellLogs } from "./logs";
import { notify } from "./notices";
import { bumpQueue, runStore } from "./store";

let socket: Socket | null = null;

/** Connect, once for the page; the returned function ends it. */
export function connectSocket(): () => void {
  socket ??= new Socket({ onMessage: take, onPackMessage: tellPacks, onPreview, onText, onConnection });
  return () => {
    socket?.close();
    socket = null;
  };
}

/** Try to come back now. */
export function retryConnection(): void {
  socket?.retry();
}

function take(message: Message): void {
  if (message.type === "status") void refreshQueue();
  else if (message.type === "logs") tellLogs(message.data.entries);
  else if (message.type === "notification") notify(message.data.value);
  else onMessage(message);
}

function onConnection(connection: Connection): void {
  runStore.setState({ connection });
  // While the connection was away, jobs may have ended, or wait again after a restart of the server.
  if (connection === "connected") void checkOpenJobs();
}

let asking = false;
let again = false;

/** Ask for the state of the queue; calls while an answer is awaited make one more question, not many. */
export async function refreshQueue(): Promise<void> {
  bumpQueue();
  again = asking;
  if (asking) return;
  asking = true;
  try {
    const { paused, pending, running } = await queueState();
    runStore.setState({ paused, queue: { pending, running } });
  } catch {
    // The connection is gone: it tells so itself.
  } finally {
    asking = false;
  }
  if (again) {
    again = false;
    await refreshQueue();
  }
}
