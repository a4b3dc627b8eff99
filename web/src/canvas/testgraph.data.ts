/** Large graphs for measurements and tests. */
type Slot = readonly [name: string, type: string];

interface Kind {
  readonly type: string;
  readonly at: readonly [x: number, y: number];
  readonly size: readonly [width: number, height: number];
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  readonly values: readonly (string | number)[];
  /** Where its inputs come from: [member of the block, output]. */
  readonly from: readonly (readonly [member: number, slot: number])[];
}

const TEXT: Omit<Kind, "at" | "values"> = { type: "CLIPTextEncode", size: [320, 140], inputs: [["clip", "CLIP"]], outputs: [["CONDITIONING", "CONDITIONING"]], from: [[0, 1]] };

/** One text-to-image chain. */
const BLOCK: readonly Kind[] = [
  { type: "CheckpointLoaderSimple", at: [0, 0], size: [280, 100], inputs: [], outputs: [["MODEL", "MODEL"], ["CLIP", "CLIP"], ["VAE", "VAE"]], values: ["emoji-64.safetensors"], from: [] },
  { ...TEXT, at: [340, 0], values: ["a red apple on a table, studio light"] },
  { ...TEXT, at: [340, 200], values: ["blurry"] },
  { type: "EmptyLatentImage", at: [0, 200], size: [280, 110], inputs: [], outputs: [["LATENT", "LATENT"]], values: [64, 64, 1], from: [] },
  { type: "KSampler", at: [720, 0], size: [300, 270], inputs: [["model", "MODEL"], ["positive", "CONDITIONING"], ["negative", "CONDITIONING"], ["latent_image", "LATENT"]], outputs: [["LATENT", "LATENT"]], values: [1, "fixed", 20, 4, "dpmpp_2m", "karras", 1], from: [[0, 0], [1, 0], [2, 0], [3, 0]] },
  { type: "VAEDecode", at: [1080, 0], size: [200, 50], inputs: [["samples", "LATENT"], ["vae", "VAE"]], outputs: [["IMAGE", "IMAGE"]], values: [], from: [[4, 0], [0, 2]] },
  { type: "SaveImage", at: [1080, 120], size: [300, 80], inputs: [["images", "IMAGE"]], outputs: [], values: ["test"], from: [[5, 0]] },
];

const WIDTH = 1480;
const HEIGHT = 420;

/** A workflow of `count` nodes: chains in a grid about as wide as it is high. */
export function testGraph(count: number): object {
  const across = Math.max(1, Math.ceil(Math.sqrt(((count / BLOCK.length) * HEIGHT * 1.8) / WIDTH)));
  const nodes: object[] = [];
  const links: unknown[][] = [];
  const outputLinks = new Map<string, number[]>();
  for (let index = 0; index < count; index += 1) {
    const member = index % BLOCK.length;
    const block = Math.floor(index / BLOCK.length);
    const kind = BLOCK[member] as Kind;
    const id = index + 1;
    const inputs = kind.inputs.map(([name, type], slot) => {
      const [source, output] = kind.from[slot] ?? [0, 0];
      const from = block * BLOCK.length + source + 1;
      links.push([links.length + 1, from, output, id, slot, type]);
      const key = `${from}:${output}`;
      outputLinks.set(key, [...(outputLinks.get(key) ?? []), links.length]);
      return { name, type, link: links.length };
    });
    nodes.push({
      id,
      type: kind.type,
      pos: [(block % across) * WIDTH + kind.at[0], Math.floor(block / across) * HEIGHT + kind.at[1]],
      size: kind.size,
      flags: {},
      order: index,
      mode: 0,
      inputs,
      outputs: kind.outputs.map(([name, type], slot) => ({ name, type, slot_index: slot, links: [] as number[] })),
      properties: {},
      widgets_values: kind.values,
    });
  }
  (nodes as { id: number; outputs: { links: number[] }[] }[]).forEach((node) => {
    node.outputs.forEach((output, slot) => {
      output.links = outputLinks.get(`${node.id}:${slot}`) ?? [];
    });
  });
  return { last_node_id: count, last_link_id: links.length, nodes, links, groups: [], config: {}, extra: { ds: { scale: 1, offset: [40, 60] } }, version: 0.4 };
}
