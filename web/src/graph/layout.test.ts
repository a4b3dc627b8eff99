import { describe, expect, it } from "vitest";
import { loadWorkflow } from "./load";
import { nodeGeometry, parseHandle, TITLE_HEIGHT } from "./layout";
import { setCollapsed } from "./edits";
import { buildTextToImage, definitions, nodeIn, storeWith } from "./testing/samples";
import { ROOT } from "./types";

function sampler(change: object = {}) {
  const inputs = [{ name: "model", type: "MODEL", link: null }];
  const json = { nodes: [{ id: 1, type: "KSampler", pos: [100, 200], size: [300, 500], inputs, outputs: [{ name: "LATENT", type: "LATENT", links: null }], ...change }], links: [] };
  return nodeIn(loadWorkflow(json, definitions).document, "1");
}
const definition = definitions.get("KSampler");

describe("the geometry of a node", () => {
  it("is its body with a title bar above", () => {
    const geometry = nodeGeometry(sampler(), definition);
    expect(geometry).toMatchObject({ x: 100, y: 200 - TITLE_HEIGHT, width: 300, height: 530 });
  });

  it("has a row for each socket pair and widget, none over another and none outside", () => {
    for (const size of [[10, 10], [300, 500], undefined]) {
      const { rows, height } = nodeGeometry(sampler({ size }), definition, { preview: 100 });
      let y = TITLE_HEIGHT;
      for (const row of rows) {
        expect(row.y).toBeGreaterThanOrEqual(y);
        y = row.y + row.height;
      }
      expect(y + 100).toBeLessThanOrEqual(height);
    }
  });

  it("has a handle for every socket, hidden for widgets without a link", () => {
    const node = sampler();
    const { handles, width } = nodeGeometry(node, definition);
    expect(handles.filter((one) => one.side === "input").map((one) => one.slot).sort((a, b) => a - b)).toEqual(node.inputs.map((_, at) => at));
    for (const one of handles) {
      expect(parseHandle(one.id)).toEqual({ side: one.side, slot: one.slot });
      expect(one.x).toBe(one.side === "input" ? 0 : width);
      expect(one.hidden).toBe(one.side === "input" && node.inputs[one.slot]?.widget !== undefined);
    }
  });

  it("gives what is left to texts of several lines, or to previews", () => {
    const text = nodeGeometry(nodeIn(loadWorkflow({ nodes: [{ id: 1, type: "CLIPTextEncode", pos: [0, 0], size: [400, 300] }], links: [] }, definitions).document, "1"), definitions.get("CLIPTextEncode"));
    expect(text.rows.at(-1)!.y + text.rows.at(-1)!.height).toBeGreaterThan(315);
    const { preview, height } = nodeGeometry(sampler(), definition, { preview: 50 });
    expect(preview!.height).toBeGreaterThan(200);
    expect(preview!.y + preview!.height).toBeLessThanOrEqual(height);
  });

  it("is remembered for a record, and made anew for another", () => {
    const node = sampler();
    expect(nodeGeometry(node, definition)).toBe(nodeGeometry(node, definition));
    expect(nodeGeometry(node, definition, { preview: 1 })).not.toBe(nodeGeometry(node, definition));
    const store = storeWith();
    store.getState().edit("Build", (draft) => {
      const ids = buildTextToImage(draft);
      const made = draft.graphs[ROOT]!.nodes[ids.sampler]!;
      const before = nodeGeometry(made as never, definition);
      made.pos = [7, 7];
      expect(nodeGeometry(made as never, definition).x).not.toBe(before.x);
    });
  });

  it("folds into the title bar", () => {
    const store = storeWith();
    let id = "";
    store.getState().edit("Build", (draft) => {
      id = buildTextToImage(draft).sampler;
      setCollapsed(draft, ROOT, [id], true);
    });
    const geometry = nodeGeometry(nodeIn(store.getState().document, id), definition);
    expect([geometry.height, geometry.rows]).toEqual([TITLE_HEIGHT, []]);
    expect(geometry.handles.every((one) => one.y === TITLE_HEIGHT / 2)).toBe(true);
  });

  it("of a missing type shows all its sockets", () => {
    const node = sampler({ type: "Gone", inputs: [{ name: "a", type: "X", link: null }, { name: "b", type: "INT", link: null, widget: { name: "b" } }] });
    expect(nodeGeometry(node, undefined).handles).toHaveLength(3);
  });
});
