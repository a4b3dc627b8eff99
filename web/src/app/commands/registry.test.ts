import { afterEach, describe, expect, it, vi } from "vitest";
import { commandKeys, commandsFor, registerCommands, runCommand, setBindings } from "./registry";

const run = vi.fn();
let allowed = true;

afterEach(() => {
  setBindings({});
  allowed = true;
  run.mockReset();
});

describe("commands", () => {
  registerCommands([
    { id: "one", title: "One", group: "Edit", keys: ["Mod+D"], when: () => allowed, run },
    { id: "two", title: "Two", group: "Edit", run },
  ]);

  it("run by id when they can be used", () => {
    expect(runCommand("one")).toBe(true);
    allowed = false;
    expect(runCommand("one")).toBe(false);
    expect(runCommand("none")).toBe(false);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it("are found by their keys, and by those a person gives them", () => {
    expect(commandsFor("mod+d").map(({ id }) => id)).toEqual(["one"]);
    setBindings({ one: [], two: ["Mod+D"] });
    expect(commandsFor("Mod+D").map(({ id }) => id)).toEqual(["two"]);
    expect(commandKeys("one")).toBeUndefined();
  });
});
