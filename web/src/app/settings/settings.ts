/**
 * The person's settings: kept on the server, with a copy in the browser so that the page starts with the right theme
 * and works while the server is away.
 */
import { useStore } from "zustand";
import { createStore } from "zustand/vanilla";
import { getJson, sendJson } from "@/api/client";
import { isValid } from "./schema";
import { DEFAULTS, type SettingKey, type SettingValues } from "./values";

const PREFIX = "Safelight.";
const COPY = "safelight.settings";

interface Stored {
  values: Partial<SettingValues>;
  /** Set while the server could not be reached. */
  unsent: SettingKey[];
}

const store = createStore<{ values: SettingValues }>(() => ({ values: { ...DEFAULTS, ...readCopy().values } }));
const unsent = new Set<SettingKey>(readCopy().unsent);

function readCopy(): Stored {
  try {
    const found = JSON.parse(localStorage.getItem(COPY) ?? "{}") as Partial<Stored>;
    return { values: sound(found.values ?? {}), unsent: (found.unsent ?? []).filter((key) => key in DEFAULTS) };
  } catch {
    return { values: {}, unsent: [] };
  }
}

function writeCopy(): void {
  try {
    const values = Object.fromEntries(Object.entries(store.getState().values).filter(([key, value]) => value !== DEFAULTS[key as SettingKey]));
    localStorage.setItem(COPY, JSON.stringify({ values, unsent: [...unsent] }));
  } catch {
    // A browser that keeps nothing still works; the server has the settings.
  }
}

function sound(values: Readonly<Record<string, unknown>>): Partial<SettingValues> {
  return Object.fromEntries(Object.entries(values).filter(([key, value]) => key in DEFAULTS && isValid(key as SettingKey, value)));
}

/** Takes the server's settings; what was set while it was away wins and is sent. */
export async function loadSettings(): Promise<void> {
  const all = await getJson<Record<string, unknown>>("api/settings");
  const own = Object.fromEntries(
    Object.entries(all)
      .filter(([key]) => key.startsWith(PREFIX))
      .map(([key, value]) => [key.slice(PREFIX.length), value] as const)
      .filter(([key]) => !unsent.has(key as SettingKey)),
  );
  store.setState(({ values }) => ({ values: { ...values, ...sound(own) } }));
  writeCopy();
  await sendUnsent();
}

async function sendUnsent(): Promise<void> {
  for (const key of [...unsent]) {
    const value = getSetting(key);
    await sendJson("POST", `api/settings/${encodeURIComponent(PREFIX + key)}`, value);
    // It may have been changed again meanwhile: then the later call sends it.
    if (getSetting(key) === value) unsent.delete(key);
  }
  writeCopy();
}

export function getSetting<K extends SettingKey>(key: K): SettingValues[K] {
  return store.getState().values[key];
}

export function setSetting<K extends SettingKey>(key: K, value: SettingValues[K]): void {
  if (getSetting(key) === value) return;
  store.setState(({ values }) => ({ values: { ...values, [key]: value } }));
  unsent.add(key);
  writeCopy();
  // Without a server the copy holds it, and the next load sends it.
  void sendUnsent().catch(() => undefined);
}

export function resetSetting(key: SettingKey): void {
  setSetting(key, DEFAULTS[key]);
}

export function useSetting<K extends SettingKey>(key: K): SettingValues[K] {
  return useStore(store, (state) => state.values[key]);
}

/** Calls back with the value now and after each change. */
export function onSetting<K extends SettingKey>(key: K, callback: (value: SettingValues[K]) => void): () => void {
  callback(getSetting(key));
  return store.subscribe((state, previous) => {
    if (state.values[key] !== previous.values[key]) callback(state.values[key]);
  });
}

/** Calls back now and after each change of any setting. */
export function onAnySetting(callback: (values: SettingValues) => void): () => void {
  callback(store.getState().values);
  return store.subscribe((state) => callback(state.values));
}
