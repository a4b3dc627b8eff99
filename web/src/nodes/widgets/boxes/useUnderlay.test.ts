// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { parseDefinitions } from "@/graph/definitions";
import { loadWorkflow } from "@/graph/load";
import { pictureBehind } from "./useUnderlay";

const { definitions } = parseDefinitions({
  LoadImage: { input: { required: { image: [["a.png"], { image_upload: true }] } }, output: ["IMAGE", "MASK"] },
  ImageScale: { input: { required: { image: ["IMAGE"], width: ["INT", {}] } }, output: ["IMAGE"] },
  CreateBoundingBoxes: { input: { required: { editor_state: ["BOUNDING_BOXES", {}] }, optional: { background: ["IMAGE"] } }, output: ["IMAGE"] },
});

function behind(picture: string, from: number | null): string | null {
  const nodes = [
    { id: 1, type: "LoadImage", inputs: [], outputs: [{ name: "IMAGE", type: "IMAGE", links: [1] }], widgets_values: [picture, "image"] },
    { id: 2, type: "ImageScale", inputs: [{ name: "image", type: "IMAGE", link: 1 }], outputs: [{ name: "IMAGE", type: "IMAGE", links: [2] }], widgets_values: [64] },
    { id: 3, type: "CreateBoundingBoxes", inputs: [{ name: "background", type: "IMAGE", link: from === null ? null : 2 }], outputs: [], widgets_values: [[]] },
  ];
  const links = [[1, 1, 0, 2, 0, "IMAGE"], ...(from === null ? [] : [[2, from, 0, 3, 0, "IMAGE"]])];
  const { document } = loadWorkflow({ nodes, links, version: 0.4 }, definitions);
  return pictureBehind(document, definitions, "root", "3", "background");
}

test("the picture under the boxes is that of the file behind, through the nodes between", () => {
  expect(behind("sub/a.png [output]", 2)).toBe("api/view?filename=a.png&subfolder=sub&type=output&preview=webp%3B85");
  expect(behind("a.png", 1)).toBe("api/view?filename=a.png&subfolder=&type=input&preview=webp%3B85");
  expect(behind("a.png", null)).toBeNull();
});
