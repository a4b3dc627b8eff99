import { describe, expect, it } from "vitest";
import { copyFragment, fragmentFromText, fragmentToText } from "./clipboard";
import type { DocumentDraft } from "./drafts";
import * as edits from "./edits";
import { reroutesOf } from "./graphs";
import { nodeBox } from "./layout";
import { brokenRules } from "./testing/invariants";
import { buildTextToImage, definitions, graphIn, nodeIn, slotOf, storeWith } from "./testing/samples";
import { MODE_BYPASSED, MODE_MUTED, MODE_NORMAL, type NodeRecord, ROOT } from "./types";

/** A store with the text-to-image chain, its ids, and a short way to edit and look. */
function chain() {
  const store = storeWith();
  let ids!: ReturnType<typeof buildTextToImage>;
  store.getState().edit("Build", (draft) => void (ids = buildTextToImage(draft)));
  const edit = (recipe: (draft: DocumentDraft) => unknown): boolean => {
    const changed = store.getState().edit("Edit", (draft) => void recipe(draft));
    expect(brokenRules(store.getState().document)).toEqual([]);
    return changed;
  };
  const graph = () => graphIn(store.getState().document);
  const node = (id: string): NodeRecord => nodeIn(store.getState().document, id);
  const origin = (id: string, input: string): string | undefined => {
    const link = node(id).inputs[slotOf(node(id), input)]?.link;
    const found = link == null ? undefined : graph().links[link];
    return found && `${found.from}.${found.fromSlot}`;
  };
  return { store, ids, edit, graph, node, origin };
}

describe("nodes", () => {
  it("start with the defaults of their class", () => {
    const { node, ids } = chain();
    expect(node(ids.sampler)).toMatchObject({ values: { seed: 0, steps: 20, cfg: 8 }, controls: { seed: "randomize" }, mode: MODE_NORMAL, title: null });
    expect(node(ids.sampler).properties["Node name for S&R"]).toBe("KSampler");
  });

  it("never get an id that another had", () => {
    const { store, edit, node } = chain();
    let first = "";
    let second = "";
    edit((draft) => (first = edits.addNode(draft, ROOT, definitions, "VAEDecode", [0, 0])));
    store.getState().undo();
    edit((draft) => (second = edits.addNode(draft, ROOT, definitions, "VAEEncode", [0, 0])));
    expect(second).not.toBe(first);
    expect(node(second).type).toBe("VAEEncode");
  });

  it("stay where they are when pinned", () => {
    const { edit, node, ids } = chain();
    edit((draft) => edits.setPinned(draft, ROOT, [ids.save], true));
    edit((draft) => edits.moveNodes(draft, ROOT, [ids.save, ids.decode], [10, 5]));
    expect([node(ids.save).pos, node(ids.decode).pos]).toEqual([[1600, 0], [1310, 5]]);
  });

  it("toggle their mode together", () => {
    const { edit, node, ids } = chain();
    edit((draft) => edits.setMode(draft, ROOT, [ids.save], MODE_MUTED));
    edit((draft) => edits.toggleMode(draft, ROOT, [ids.save, ids.decode], MODE_MUTED));
    expect([node(ids.save).mode, node(ids.decode).mode]).toEqual([MODE_MUTED, MODE_MUTED]);
    edit((draft) => edits.toggleMode(draft, ROOT, [ids.save, ids.decode], MODE_MUTED));
    expect(node(ids.save).mode).toBe(MODE_NORMAL);
    edit((draft) => edits.toggleMode(draft, ROOT, [ids.save], MODE_BYPASSED));
    expect(node(ids.save).mode).toBe(MODE_BYPASSED);
  });

  it("change their seeds after a run, unless a link gives them", () => {
    const { edit, node, ids } = chain();
    edit((draft) => edits.applyAfterRun(draft, definitions, () => 0.25));
    expect(node(ids.sampler).values["seed"]).toBeGreaterThan(1e15);
    edit((draft) => {
      edits.setControl(draft, ROOT, ids.sampler, "seed", "increment");
      edits.setValue(draft, ROOT, ids.sampler, "seed", 7);
    });
    edit((draft) => edits.applyAfterRun(draft, definitions));
    expect(node(ids.sampler).values["seed"]).toBe(8);
    edit((draft) => {
      const from = edits.addNode(draft, ROOT, definitions, "PrimitiveNode", [0, 0]);
      edits.connect(draft, ROOT, definitions, { from, fromSlot: 0, to: ids.sampler, toSlot: slotOf(node(ids.sampler), "seed") });
      edits.setControl(draft, ROOT, ids.sampler, "seed", "increment");
    });
    edit((draft) => edits.applyAfterRun(draft, definitions));
    expect(node(ids.sampler).values["seed"]).toBe(8);
  });

  it("a title that is empty is the one of the class", () => {
    const { edit, node, ids } = chain();
    edit((draft) => edits.setTitle(draft, ROOT, ids.save, "Mine"));
    expect(node(ids.save).title).toBe("Mine");
    edit((draft) => edits.setTitle(draft, ROOT, ids.save, ""));
    expect(node(ids.save).title).toBeNull();
  });
});

describe("links", () => {
  it("take the place of what fed an input", () => {
    const { edit, graph, ids, node, origin } = chain();
    const count = graph().linkOrder.length;
    const toSlot = slotOf(node(ids.sampler), "positive");
    edit((draft) => edits.connect(draft, ROOT, definitions, { from: ids.negative, fromSlot: 0, to: ids.sampler, toSlot }));
    expect(origin(ids.sampler, "positive")).toBe(`${ids.negative}.0`);
    expect(graph().linkOrder).toHaveLength(count);
    expect(node(ids.positive).outputs[0]?.links).toEqual([]);
  });

  it("are refused with a reason: wrong types, loops, the node itself", () => {
    const { store, edit, ids, node } = chain();
    const why = (from: string, fromSlot: number, to: string, input: string) =>
      edits.whyNoConnection(store.getState().document, ROOT, definitions, { from, fromSlot, to, toSlot: slotOf(node(to), input) });
    expect(why(ids.latent, 0, ids.save, "images")).toContain("LATENT cannot feed an input of type IMAGE");
    expect(why(ids.sampler, 0, ids.sampler, "latent_image")).toContain("itself");
    expect(why(ids.latent, 0, ids.sampler, "latent_image")).toBeNull();
    edit((draft) => edits.disconnectInput(draft, ROOT, ids.sampler, slotOf(node(ids.sampler), "latent_image")));
    edit((draft) => {
      const scale = edits.addNode(draft, ROOT, definitions, "LatentUpscale", [0, 0]);
      const into = { from: ids.sampler, fromSlot: 0, to: scale, toSlot: 0 };
      expect(edits.connect(draft, ROOT, definitions, into)).not.toBeNull();
      const back = { from: scale, fromSlot: 0, to: ids.sampler, toSlot: slotOf(node(ids.sampler), "latent_image") };
      expect(edits.connect(draft, ROOT, definitions, back)).toBeNull();
    });
  });

  it("the same link again changes nothing", () => {
    const { edit, ids, node } = chain();
    const toSlot = slotOf(node(ids.save), "images");
    expect(edit((draft) => edits.connect(draft, ROOT, definitions, { from: ids.decode, fromSlot: 0, to: ids.save, toSlot }))).toBe(false);
  });

  it("know their type behind a reroute node", () => {
    const { edit, ids, node, store } = chain();
    const latent = slotOf(node(ids.sampler), "latent_image");
    edit((draft) => {
      const reroute = edits.addNode(draft, ROOT, definitions, "Reroute", [0, 0]);
      edits.connect(draft, ROOT, definitions, { from: ids.latent, fromSlot: 0, to: reroute, toSlot: 0 });
      expect(edits.whyNoConnection(store.getState().document, ROOT, definitions, { from: reroute, fromSlot: 0, to: ids.save, toSlot: 0 })).toBe("There is no such socket.");
      expect(edits.connect(draft, ROOT, definitions, { from: reroute, fromSlot: 0, to: ids.save, toSlot: 0 })).toBeNull();
      expect(edits.connect(draft, ROOT, definitions, { from: reroute, fromSlot: 0, to: ids.sampler, toSlot: latent })).not.toBeNull();
    });
  });
});

describe("removing", () => {
  it("takes the links along", () => {
    const { edit, graph, ids, node } = chain();
    edit((draft) => edits.removeItems(draft, ROOT, { nodes: [ids.sampler] }));
    expect(node(ids.decode).inputs[0]?.link).toBeNull();
    expect(Object.values(graph().links).some((link) => link.to === ids.sampler)).toBe(false);
  });

  it("reconnects as a bypassed node would pass on", () => {
    const { edit, ids, origin } = chain();
    edit((draft) => {
      const lora = edits.addNode(draft, ROOT, definitions, "LoraLoader", [0, 0]);
      edits.connect(draft, ROOT, definitions, { from: ids.loader, fromSlot: 0, to: lora, toSlot: 0 });
      edits.connect(draft, ROOT, definitions, { from: ids.loader, fromSlot: 1, to: lora, toSlot: 1 });
      edits.connect(draft, ROOT, definitions, { from: lora, fromSlot: 0, to: ids.sampler, toSlot: 0 });
      edits.connect(draft, ROOT, definitions, { from: lora, fromSlot: 1, to: ids.positive, toSlot: 0 });
      edits.removeItems(draft, ROOT, { nodes: [lora] }, { reconnect: true });
    });
    expect([origin(ids.sampler, "model"), origin(ids.positive, "clip")]).toEqual([`${ids.loader}.0`, `${ids.loader}.1`]);
  });

  it("reconnects over a whole row of nodes", () => {
    const { edit, ids, origin } = chain();
    edit((draft) => {
      const [a, b] = [edits.addNode(draft, ROOT, definitions, "LatentUpscale", [0, 0]), edits.addNode(draft, ROOT, definitions, "LatentUpscale", [0, 0])];
      edits.connect(draft, ROOT, definitions, { from: ids.sampler, fromSlot: 0, to: a, toSlot: 0 });
      edits.connect(draft, ROOT, definitions, { from: a, fromSlot: 0, to: b, toSlot: 0 });
      edits.connect(draft, ROOT, definitions, { from: b, fromSlot: 0, to: ids.decode, toSlot: 0 });
      edits.removeItems(draft, ROOT, { nodes: [a, b] }, { reconnect: true });
    });
    expect(origin(ids.decode, "samples")).toBe(`${ids.sampler}.0`);
  });
});

describe("reroutes", () => {
  it("stand in the order of their link, and go without cutting it", () => {
    const { edit, graph, ids, node } = chain();
    const link = node(ids.save).inputs[0]!.link!;
    let [first, second, third] = ["", "", ""];
    edit((draft) => {
      second = edits.addReroute(draft, ROOT, link, [20, 0])!;
      first = edits.addReroute(draft, ROOT, link, [10, 0], null)!;
      third = edits.addReroute(draft, ROOT, link, [30, 0], second)!;
    });
    expect(reroutesOf(graph(), graph().links[link]!)).toEqual([first, second, third]);
    edit((draft) => edits.removeReroute(draft, ROOT, second));
    expect(reroutesOf(graph(), graph().links[link]!)).toEqual([first, third]);
    edit((draft) => edits.disconnect(draft, ROOT, link));
    expect(Object.keys(graph().reroutes)).toEqual([]);
  });
});

describe("groups", () => {
  it("stand around nodes, and hold those whose middle is in them", () => {
    const { store, edit, graph, ids } = chain();
    edit((draft) => edits.groupAround(draft, ROOT, definitions, [ids.positive, ids.negative], "Texts"));
    const group = graph().groups[0]!;
    expect(group.title).toBe("Texts");
    expect(edits.nodesInGroup(graph(), definitions, group, store.getState().document).sort()).toEqual([ids.positive, ids.negative].sort());
    const { box } = group;
    edit((draft) => edits.updateGroup(draft, ROOT, group.id, { box: { ...box, width: box.width + 30, height: box.height + 40 } }));
    edit((draft) => edits.fitGroup(draft, ROOT, definitions, group.id));
    expect(graph().groups[0]?.box).toEqual(box);
  });
});

describe("placing", () => {
  it("aligns, distributes and snaps", () => {
    const { edit, ids, node } = chain();
    const all = [ids.loader, ids.positive, ids.sampler];
    edit((draft) => edits.align(draft, ROOT, definitions, all, "left"));
    expect(all.map((id) => node(id).pos[0])).toEqual([0, 0, 0]);
    edit((draft) => edits.align(draft, ROOT, definitions, all, "bottom"));
    const bottoms = all.map((id) => nodeBox(node(id), definitions.get(node(id).type))).map((box) => box.y + box.height);
    expect(new Set(bottoms).size).toBe(1);
    edit((draft) => edits.setPositions(draft, ROOT, { [ids.loader]: [0, 0], [ids.positive]: [13, 17], [ids.sampler]: [2000, 0] }));
    edit((draft) => edits.distribute(draft, ROOT, definitions, all, "horizontal"));
    const boxes = all.map((id) => nodeBox(node(id), definitions.get(node(id).type)));
    expect(boxes[1]!.x - boxes[0]!.x - boxes[0]!.width).toBeCloseTo(boxes[2]!.x - boxes[1]!.x - boxes[1]!.width);
    edit((draft) => edits.snap(draft, ROOT, all, 10));
    expect(node(ids.positive).pos.every((one) => one % 10 === 0)).toBe(true);
  });

  it("lays out anew so that links run to the right and nothing overlaps", () => {
    const { edit, graph, node } = chain();
    edit((draft) => {
      for (const id of Object.keys(graph().nodes)) edits.setPosition(draft, ROOT, id, [0, 0]);
    });
    edit((draft) => edits.arrange(draft, ROOT, definitions));
    const box = (id: string) => nodeBox(node(id), definitions.get(node(id).type));
    for (const link of Object.values(graph().links)) expect(box(link.from).x + box(link.from).width).toBeLessThan(box(link.to).x);
    const boxes = Object.keys(graph().nodes).map(box);
    boxes.forEach((a, at) => {
      for (const b of boxes.slice(at + 1)) {
        expect(a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height).toBe(false);
      }
    });
  });
});

describe("copying", () => {
  it("goes through text, with the links inside", () => {
    const { store, edit, graph, ids, node } = chain();
    const text = fragmentToText(copyFragment(store.getState().document, ROOT, { nodes: [ids.decode, ids.save] }));
    let pasted!: edits.Pasted;
    edit((draft) => (pasted = edits.paste(draft, ROOT, fragmentFromText(text)!, { at: [50, 60] })));
    const [decode, save] = pasted.nodes as [string, string];
    expect(graph().links[node(save).inputs[0]!.link!]).toMatchObject({ from: decode, to: save });
    expect(node(decode).inputs.map((slot) => slot.link)).toEqual([null, null]);
    expect(node(decode).pos).toEqual([50, 90]);
    expect(node(save).values).toEqual(node(ids.save).values);
  });

  it("takes links from outside along when asked", () => {
    const { edit, graph, ids, node } = chain();
    let pasted!: edits.Pasted;
    edit((draft) => (pasted = edits.duplicate(draft, ROOT, { nodes: [ids.decode] }, [30, 30], { links: "outside" })));
    const links = node(pasted.nodes[0]!).inputs.map((slot) => graph().links[slot.link ?? ""]?.from);
    expect(links).toEqual([ids.sampler, ids.loader]);
  });

  it("does not take other texts for a fragment", () => {
    for (const text of ["", "a cat", "{}", '{"format":"safelight/fragment"}', '{"format":"safelight/fragment","version":1,"nodes":[1],"links":[],"groups":[],"reroutes":[],"graphs":{},"source":{}}']) {
      expect(fragmentFromText(text)).toBeNull();
    }
  });
});
