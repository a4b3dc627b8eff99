/** A small table in IndexedDB: one record per open workflow tab. */

const NAME = "safelight";
const TABLE = "tabs";

let opening: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opening ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(TABLE, { keyPath: ["window", "id"] });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error ?? new Error("IndexedDB cannot be opened."));
  });
  return opening;
}

async function run<T>(mode: IDBTransactionMode, act: (table: IDBObjectStore) => IDBRequest<T> | null): Promise<T | undefined> {
  const transaction = (await database()).transaction(TABLE, mode);
  const asked = act(transaction.objectStore(TABLE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("IndexedDB refused."));
  });
}

/** What is kept of a tab. */
export interface TabRecord {
  /** The browser window it is open in. */
  window: string;
  id: string;
  name: string;
  path: string | null;
  /** The workflow file as it would be saved. */
  json: unknown;
  unsaved: boolean;
  active: boolean;
  order: number;
  at: number;
}

export async function allRecords(): Promise<TabRecord[]> {
  return ((await run("readonly", (table) => table.getAll() as IDBRequest<TabRecord[]>)) ?? []).sort((a, b) => a.order - b.order);
}

export async function putRecord(record: TabRecord): Promise<void> {
  await run("readwrite", (table) => table.put(record));
}

export async function deleteRecords(keys: readonly Pick<TabRecord, "window" | "id">[]): Promise<void> {
  await run("readwrite", (table) => {
    for (const key of keys) table.delete([key.window, key.id]);
    return null;
  });
}
