/** One widget of a pack on the page: calls the pack's code so that a mistake in it breaks nothing else. */
import { same } from "@/graph/json";
import type { Json } from "@/graph/types";
import type { MountedWidget, WidgetFacts, WidgetState } from "./api";
import { marked } from "./marks";
import type { BroughtWidget } from "./widgets";

export interface HostActions {
  set(value: Json): void;
  done(): void;
  /** The pack's code failed; nothing of it is on the page any more. */
  broke(message: string): void;
}

export class WidgetHost {
  #brought: BroughtWidget;
  #actions: HostActions;
  #element: HTMLElement;
  #mounted: MountedWidget | null = null;
  #state: WidgetState;
  /** What the widget was told last. */
  #told: WidgetFacts;
  #busy = false;
  #gone = false;

  constructor(brought: BroughtWidget, element: HTMLElement, facts: WidgetFacts, actions: HostActions) {
    this.#brought = brought;
    this.#actions = actions;
    this.#element = element;
    this.#told = facts;
    this.#state = { ...copied(facts), setValue: this.#set, done: () => this.#gone || actions.done() };
    this.#call("mounting", () => {
      this.#mounted = brought.widget.mount(element, this.#state) ?? null;
    });
  }

  /** Tells the widget what holds now, if that is something else. */
  update(facts: WidgetFacts): void {
    if (this.#gone || unchanged(this.#told, facts)) return;
    this.#told = facts;
    Object.assign(this.#state, copied(facts));
    this.#call("updating", () => this.#mounted?.update?.(this.#state.value, this.#state));
  }

  destroy(): void {
    if (this.#gone) return;
    this.#gone = true;
    try {
      marked(this.#brought.pack, () => this.#mounted?.destroy?.());
    } catch (error) {
      console.error(`A widget of the pack ${this.#brought.pack} failed on going away.`, error);
    }
    this.#element.replaceChildren();
  }

  #set = (value: unknown): void => {
    // A widget that answers an update with a change would go on for ever.
    if (this.#busy) throw new Error("setValue is for changes that a person makes; it was called by mount or update.");
    if (this.#gone || this.#told.readOnly) return;
    const json = asJson(value);
    // At once, so that a second change can build on this one.
    Object.assign(this.#state, { value: structuredClone(json) });
    this.#actions.set(json);
  };

  #call(what: string, call: () => void): void {
    this.#busy = true;
    try {
      marked(this.#brought.pack, call);
    } catch (error) {
      console.error(`A widget of the pack ${this.#brought.pack} failed on ${what}.`, error);
      this.destroy();
      this.#actions.broke(`${messageOf(error)} (on ${what})`);
    } finally {
      this.#busy = false;
    }
  }
}

function copied(facts: WidgetFacts): WidgetFacts {
  return { ...facts, value: structuredClone(facts.value), options: structuredClone(facts.options) };
}

function unchanged(before: WidgetFacts, now: WidgetFacts): boolean {
  return (
    before.readOnly === now.readOnly &&
    before.node.title === now.node.title &&
    before.node.id === now.node.id &&
    (before.options === now.options || same(before.options, now.options)) &&
    same(before.value, now.value)
  );
}

/** A copy of a value that is JSON through and through. Throws a TypeError for any other. */
export function asJson(value: unknown): Json {
  const found = JSON.stringify(value, (key, one: unknown) => {
    if (one === undefined || typeof one === "function" || typeof one === "symbol" || (typeof one === "number" && !Number.isFinite(one))) {
      throw new TypeError(`The value of a widget must be JSON; ${key === "" ? "it" : `its part “${key}”`} is ${String(one)}.`);
    }
    return one;
  });
  return JSON.parse(found) as Json;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
