import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadWorkflow } from "./load";
import { saveWorkflow } from "./save";
import { definitions } from "./testing/samples";

const REPOSITORY = join(import.meta.dirname, "../../..");
/** Our workflows, and public ones where they lie beside the repository. */
const FOLDERS = [join(REPOSITORY, "workflows"), join(REPOSITORY, "../shared/interop/examples")];

const files = FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) =>
  readdirSync(folder).filter((name) => name.endsWith(".json") && !name.endsWith(".prompt.json")).map((name) => join(folder, name)),
);

describe("a workflow that was only looked at is saved as it was", () => {
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
