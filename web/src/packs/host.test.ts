// @vitest-environment happy-dom
import { beforeEach, expect, test, vi } from "vitest";
import type { MountedWidget, PackWidget, WidgetFacts, WidgetState } from "./api";
import { asJson, WidgetHost } from "./host";

const FACTS: WidgetFacts = {
  value: [1],
  options: { default: [1] },
  input: { name: "points", type: "POINTS", label: "points", tooltip: "" },
  node: { id: "3", type: "Points", title: "Points" },
  readOnly: false,
};
const actions = { set: vi.fn(), done: vi.fn(), broke: vi.fn() };
let element: HTMLElement;
let state: WidgetState;

beforeEach(() => {
  vi.restoreAllMocks();
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  for (const action of Object.values(actions)) action.mockReset();
  element = document.createElement("div");
});

function host(mounted: MountedWidget | undefined = undefined, before: (element: HTMLElement, state: WidgetState) => void = () => undefined): WidgetHost {
  const widget: PackWidget = {
    mount(place, given) {
      state = given;
      place.append("shown");
      before(place, given);
      return mounted;
    },
  };
  return new WidgetHost({ pack: "tests", widget }, element, FACTS, actions);
}

test("a widget gets a copy of the value, and what it sets goes into the workflow", () => {
  host();
  (state.value as number[]).push(2);
  expect(FACTS.value).toEqual([1]);
  state.setValue([1, 2]);
  state.done();
  expect(actions.set).toHaveBeenCalledWith([1, 2]);
  expect(actions.done).toHaveBeenCalled();
});

test("two changes in a row build on each other", () => {
  host();
  state.setValue([...(state.value as number[]), 2]);
  state.setValue([...(state.value as number[]), 3]);
  expect(actions.set).toHaveBeenLastCalledWith([1, 2, 3]);
});

test("a widget is updated when value or read-only change, and not otherwise", () => {
  const update = vi.fn();
  const made = host({ update });
  made.update({ ...FACTS, value: [1], options: { default: [1] } });
  expect(update).not.toHaveBeenCalled();
  made.update({ ...FACTS, value: [4] });
  expect(update).toHaveBeenLastCalledWith([4], state);
  made.update({ ...FACTS, value: [4], readOnly: true });
  expect(update).toHaveBeenCalledTimes(2);
  expect(state.readOnly).toBe(true);
});

test("a widget that a link sets cannot set", () => {
  const made = host();
  made.update({ ...FACTS, readOnly: true });
  state.setValue([9]);
  expect(actions.set).not.toHaveBeenCalled();
});

test("a widget that throws while mounting leaves nothing on the page and says why", () => {
  const made = host(undefined, () => {
    throw new Error("made of glass");
  });
  expect(actions.broke).toHaveBeenCalledWith("made of glass (on mounting)");
  expect(element.childNodes).toHaveLength(0);
  state.setValue([9]);
  made.update({ ...FACTS, value: [9] });
  expect(actions.set).not.toHaveBeenCalled();
});

test("a widget that throws while updating is destroyed", () => {
  const destroy = vi.fn();
  const update = () => {
    throw new RangeError("too far");
  };
  host({ update, destroy }).update({ ...FACTS, value: [2] });
  expect(actions.broke).toHaveBeenCalledWith("too far (on updating)");
  expect(destroy).toHaveBeenCalledTimes(1);
});

test("a widget that answers an update with a change is stopped", () => {
  const made = host({ update: () => state.setValue([3]) });
  made.update({ ...FACTS, value: [2] });
  expect(actions.broke).toHaveBeenCalledWith(expect.stringContaining("called by mount or update"));
  expect(actions.set).not.toHaveBeenCalled();
});

test("going away twice, or with an error, breaks nothing", () => {
  const destroy = vi.fn(() => {
    throw new Error("no");
  });
  const made = host({ destroy });
  made.destroy();
  made.destroy();
  state.setValue([9]);
  expect(destroy).toHaveBeenCalledTimes(1);
  expect(actions.set).not.toHaveBeenCalled();
});

test("only JSON is a value, and the message names the part that is none", () => {
  expect(asJson({ a: [1, null, "x", true] })).toEqual({ a: [1, null, "x", true] });
  expect(() => asJson(undefined)).toThrow("it is undefined");
  expect(() => asJson({ a: { b: NaN } })).toThrow("its part “b” is NaN");
  expect(() => asJson([() => 1])).toThrow("must be JSON");
  const loop: unknown[] = [];
  loop.push(loop);
  expect(() => asJson(loop)).toThrow(TypeError);
});
