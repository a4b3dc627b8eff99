import { describe, expect, it } from "vitest";
import { parseDefinitions } from "@/graph/definitions";
import { loadWorkflow } from "@/graph/load";
import { createDocumentStore } from "@/graph/store";
import { moveNodes } from "@/graph/edits";
import { insideBox, insideLasso, linkUnder, middleOf, nodeUnder, socketUnder } from "./hit";
import { createSceneHolder } from "./sceneHolder";
import { testGraph } from "./testgraph.data";
import { createUi } from "./ui";

function setup(count: number) {
  const { definitions } = parseDefinitions({});
  const { document } = loadWorkflow(testGraph(count), definitions);
  const store = createDocumentStore({ document, definitions });
  const ui = createUi();
  const holder = createSceneHolder(store, ui);
  holder.start();
  return { store, ui, holder };
}

describe("the scene", () => {
  it("has every node and link", () => {
    const { holder } = setup(70);
    expect(holder.get().nodes).toHaveLength(70);
    expect(holder.get().links).toHaveLength(Object.keys(holder.get().graph.links).length);
  });

  it("keeps what did not change", () => {
    const { store, holder } = setup(14);
    const before = holder.get();
    store.getState().edit("Move", (draft) => moveNodes(draft, "root", ["1"], [10, 0]));
    const after = holder.get();
    expect(after.byId.get("1")).not.toBe(before.byId.get("1"));
    expect(after.byId.get("9")).toBe(before.byId.get("9"));
    const untouched = before.links.find((link) => link.record.from !== "1" && link.record.to !== "1");
    expect(after.links).toContain(untouched);
  });

  it("moves what is dragged, with its links, and leaves the document alone", () => {
    const { store, ui, holder } = setup(7);
    const [document, start] = [store.getState().document, holder.get()];
    ui.setState({ drag: { nodes: new Set(["5"]), groups: new Set(), reroutes: new Set(), delta: [100, 50] } });
    const node = holder.get().byId.get("5");
    expect([node?.x, node?.y]).toEqual([(start.byId.get("5")?.x ?? 0) + 100, (start.byId.get("5")?.y ?? 0) + 50]);
    expect(store.getState().document).toBe(document);
    const link = start.links.find((one) => one.record.to === "5");
    const moved = holder.get().links.find((one) => one.id === link?.id);
    expect(moved?.points.at(-1)).toEqual([(link?.points.at(-1)?.[0] ?? 0) + 100, (link?.points.at(-1)?.[1] ?? 0) + 50]);
  });
});

describe("hit testing", () => {
  it("finds nodes, links and sockets", () => {
    const { holder } = setup(7);
    const scene = holder.get();
    const sampler = scene.byId.get("5");
    expect(nodeUnder(scene, [(sampler?.x ?? 0) + 5, (sampler?.y ?? 0) + 5])?.id).toBe("5");
    const link = scene.links[0];
    if (link === undefined) throw new Error("no link");
    expect(linkUnder(scene, middleOf(link, "curved"), 4, "curved")?.id).toBeDefined();
    expect(linkUnder(scene, [-5000, -5000], 4, "curved")).toBeNull();
    const end = link.points.at(-1) ?? [0, 0];
    expect(socketUnder(scene, [end[0] + 3, end[1] - 3], "input", 10)).toMatchObject({ node: link.record.to, slot: link.record.toSlot });
  });

  it("selects by box and by lasso", () => {
    const { holder } = setup(14);
    const scene = holder.get();
    const node = scene.byId.get("1");
    if (node === undefined) throw new Error("no node");
    expect(insideBox(scene, { x: node.x - 5, y: node.y - 5, width: 20, height: 20 }).nodes).toEqual(["1"]);
    const around: [number, number][] = [[node.x - 9, node.y - 9], [node.x + node.width + 9, node.y - 9], [node.x + node.width + 9, node.y + node.height + 9], [node.x - 9, node.y + node.height + 9]];
    expect(insideLasso(scene, around).nodes).toEqual(["1"]);
  });
});
