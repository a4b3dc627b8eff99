/** Messages of packs over the websocket, for the modules that wait for them. */
type Handler = (data: unknown) => void;

const handlers = new Map<string, Set<Handler>>();

export function onPackMessage(event: string, handler: Handler): () => void {
  const all = handlers.get(event) ?? new Set();
  handlers.set(event, all.add(handler));
  return () => {
    all.delete(handler);
  };
}

export function tellPacks(event: string, data: unknown): void {
  for (const handler of handlers.get(event) ?? []) handler(data);
}
