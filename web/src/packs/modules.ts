/** Imports the modules that packs bring for the editor. One that fails is reported, and the others go on. */
import { isOwnMessage } from "@/api/messages";
import { API_VERSION, type Editor } from "./api";
import { messageOf } from "./host";
import { marked, markedUntil } from "./marks";
import { onPackMessage } from "./messages";
import { addProblem, clearProblems, type PackReport } from "./report";
import { bringWidget, takeWidgets } from "./widgets";

/** Milliseconds that a module may take until the others no longer wait for it. */
const PATIENCE = 10_000;

interface Imported {
  readonly url: string;
  readonly stops: (() => void)[];
}

const imported = new Map<string, Imported>();
/** Packs that are not imported as long as their module is the same; null: which one that is will be seen. */
const leftOut = new Map<string, string | null>();

/** Does not import the module of a pack until it is another. */
export function leaveOut(pack: string): void {
  leftOut.set(pack, null);
}

function isLeftOut(pack: string, url: string): boolean {
  const known = leftOut.get(pack);
  if (known === undefined) return false;
  if (known === null) leftOut.set(pack, url);
  if (known === null || known === url) return true;
  leftOut.delete(pack);
  clearProblems(pack);
  return false;
}

/** Imports the modules of these packs that are new or have changed, and takes away those that are gone. */
export async function loadModules(packs: readonly PackReport[]): Promise<void> {
  const wanted = new Map(packs.flatMap(({ name, state, editor_module: url }) => (url !== null && state === "loaded" ? [[name, url]] : [])));
  for (const [pack, { url }] of [...imported]) if (wanted.get(pack) !== url) unload(pack);
  for (const [pack, url] of wanted) if (!imported.has(pack) && !isLeftOut(pack, url)) await load(pack, url);
}

function unload(pack: string): void {
  for (const stop of imported.get(pack)?.stops ?? []) stop();
  takeWidgets(pack);
  clearProblems(pack);
  imported.delete(pack);
}

/** One after the other, so that it is known which one stops the page if one does. */
async function load(pack: string, url: string): Promise<void> {
  const held: Imported = { url, stops: [] };
  imported.set(pack, held);
  const begun = begin(pack, url, held).catch((error: unknown) => {
    console.error(`The editor module of the pack ${pack} failed.`, error);
    addProblem(pack, `${url.split("?")[0]}: ${messageOf(error)}`);
  });
  const late = await Promise.race([markedUntil(pack, begun).then(() => false), wait(PATIENCE)]);
  if (late) addProblem(pack, `${url.split("?")[0]}: it is still being imported after ${PATIENCE / 1000} s. The editor goes on without it.`);
}

async function begin(pack: string, url: string, held: Imported): Promise<void> {
  const module = (await import(/* @vite-ignore */ pageUrl(url).href)) as { default?: unknown };
  const { default: start } = module;
  if (typeof start !== "function") throw new TypeError("its default export must be a function that takes the editor.");
  // The packs were read anew meanwhile.
  if (imported.get(pack) !== held) return;
  await marked(pack, () => (start as (editor: Editor) => unknown)(editorFor(pack, held.stops)));
}

function wait(milliseconds: number): Promise<true> {
  return new Promise((done) => setTimeout(() => done(true), milliseconds));
}

function editorFor(pack: string, stops: (() => void)[]): Editor {
  return Object.freeze<Editor>({
    apiVersion: API_VERSION,
    pack,
    widget(name, widget) {
      if (typeof name !== "string" || name === "") throw new TypeError("editor.widget: the name must be a text.");
      if (typeof widget?.mount !== "function") throw new TypeError(`editor.widget: the widget “${name}” needs a function \`mount\`.`);
      bringWidget(name, { pack, widget });
    },
    onMessage(event, handler) {
      if (isOwnMessage(event)) throw new Error(`editor.onMessage: “${event}” is a message of the server itself, not of packs.`);
      const stop = onPackMessage(event, (data) => hand(pack, event, handler, data));
      stops.push(stop);
      return stop;
    },
    fetch: fetchHere,
  });
}

function hand(pack: string, event: string, handler: (data: unknown) => void, data: unknown): void {
  try {
    marked(pack, () => handler(data));
  } catch (error) {
    console.error(`The pack ${pack} failed on its message ${event}.`, error);
    addProblem(pack, `The handler of the message “${event}” failed: ${messageOf(error)}`);
  }
}

/** A path of the server, whatever path prefix the page has. */
function pageUrl(path: string): URL {
  return new URL(path.replace(/^\/+/, ""), document.baseURI);
}

/** Resolves once the server has imported the packs: before, their routes are not there. */
export let packsAreOpen: () => void;
const opened = new Promise<void>((done) => {
  packsAreOpen = done;
});

async function fetchHere(path: string, init?: RequestInit): Promise<Response> {
  const url = pageUrl(String(path));
  if (url.origin !== location.origin) throw new Error(`editor.fetch asks this server only, not ${url.origin}.`);
  await opened;
  return fetch(url, init);
}
