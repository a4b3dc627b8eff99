import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseDefinitions } from "./definitions";
import { loadWorkflow } from "./load";
import { saveWorkflow } from "./save";

/** Public workflows, where this machine has them, and ours. */
const FOLDERS = [join(import.meta.dirname, "../../../workflows"), process.env["SAFELIGHT_INTEROP"] ?? ""];

const files = FOLDERS.filter((folder) => folder !== "" && existsSync(folder)).flatMap((folder) =>
  readdirSync(folder).filter((name) => name.endsWith(".json") && !name.endsWith(".prompt.json")).map((name) => join(folder, name)),
);

describe("a workflow that was only looked at is saved as it was", () => {
  const { definitions } = parseDefinitions(JSON.parse(readFileSync(join(import.meta.dirname, "testing/object_info.json"), "utf8")));
  it.each(files.map((file) => [file.split("/").at(-1), file]))("%s", (_name, file) => {
    const json: unknown = JSON.parse(readFileSync(file!, "utf8"));
    const loaded = loadWorkflow(json, definitions);
    const nodes = (json as { nodes: unknown[] }).nodes;
    expect(loaded.document.graphs["root"]?.nodeOrder).toHaveLength(nodes.length);
    expect(saveWorkflow(loaded.document)).toStrictEqual(json);
    expect(saveWorkflow(loadWorkflow(json, new Map()).document)).toStrictEqual(json);
    // The order of keys stays too, so that a file under version control shows no changes.
    expect(JSON.stringify(saveWorkflow(loaded.document))).toBe(JSON.stringify(json));
  });
});
