import { describe, expect, it } from "vitest";
import { callText, type Call } from "./callTexts";

const call: Call = {
  workflow: "my folder/a",
  server: "http://127.0.0.1:8188",
  values: [
    ["prompt", `it's "red" ☀`],
    ["sampler_name", "euler"],
    ["seed", 7],
    ["loud", true],
    ["my size", 64],
    ["json", 1],
    ["class", "x"],
    ["offset", "-1"],
  ],
};

describe("how a workflow is called", () => {
  it("over HTTP: the body is JSON, quoted for a shell", () => {
    const text = callText(call, "http");
    expect(text).toContain("'http://127.0.0.1:8188/api/v1/workflows/my%20folder/a/run'");
    const body = /-d '([\s\S]*)'$/.exec(text)?.[1]?.replaceAll("'\\''", "'");
    expect(JSON.parse(body ?? "")).toEqual(Object.fromEntries(call.values));
  });

  it("from Python: names that are no words of Python go into a dict", () => {
    const text = callText(call, "python");
    expect(text).toContain('Workflow.load("my folder/a")');
    expect(text).toContain('{"my size": 64, "class": "x"},');
    expect(text).toContain('prompt="it\'s \\"red\\" ☀",');
    expect(text).toContain("loud=True,");
    expect(callText({ ...call, values: [] }, "python")).toContain("workflow.run()");
  });

  it("on the command line: options by name, and --set where run has an option of that name", () => {
    const text = callText(call, "command");
    expect(text).toContain("safelight run 'my folder/a'");
    expect(text).toContain("--prompt 'it'\\''s \"red\" ☀'");
    expect(text).toContain("--sampler-name euler");
    expect(text).toContain("--loud true");
    expect(text).toContain("--set json=1");
    expect(text).toContain("--set 'my size=64'");
    expect(text).toContain("--offset=-1");
  });
});
