import { describe, expect, it } from "vitest";
import { parseDefinitions } from "@/graph/definitions";
import { buildIndex, initials, searchNodes } from "./nodeIndex";

const node = (title: string, category: string, more: object = {}) => ({ input: { required: {} }, output: [], output_name: [], display_name: title, category, description: "", output_node: false, ...more });

const { definitions } = parseDefinitions({
  KSampler: { ...node("KSampler", "sampling"), name: "KSampler" },
  KSamplerAdvanced: { ...node("KSampler (Advanced)", "sampling"), name: "KSamplerAdvanced" },
  CLIPTextEncode: { ...node("CLIP Text Encode (Prompt)", "conditioning"), name: "CLIPTextEncode" },
  LoadImage: { ...node("Load Image", "image", { search_aliases: ["picture"] }), name: "LoadImage" },
  OldThing: { ...node("Old Image Thing", "image", { deprecated: true }), name: "OldThing" },
});
const index = buildIndex(definitions);
const titles = (text: string, options = {}) => searchNodes(index, text, options).map(({ definition }) => definition.title);

describe("node search", () => {
  it("puts what a title begins with first", () => {
    expect(titles("ksam")[0]).toBe("KSampler");
    expect(titles("advanced")).toEqual(["KSampler (Advanced)"]);
  });

  it("finds by class name, category, other names and initials", () => {
    expect(titles("cliptext")[0]).toBe("CLIP Text Encode (Prompt)");
    expect(titles("conditioning")).toContain("CLIP Text Encode (Prompt)");
    expect(titles("picture")).toEqual(["Load Image"]);
    expect(titles("li")[0]).toBe("Load Image");
  });

  it("takes words in any order", () => {
    expect(titles("encode clip")[0]).toBe("CLIP Text Encode (Prompt)");
  });

  it("leaves deprecated nodes out unless asked", () => {
    expect(titles("old")).toEqual([]);
    expect(titles("old", { deprecated: true })).toEqual(["Old Image Thing"]);
  });

  it("shows only what fits a socket, and the most used first when nothing is typed", () => {
    expect(titles("", { only: new Set(["LoadImage", "KSampler"]), uses: { LoadImage: 3 } })).toEqual(["Load Image", "KSampler"]);
  });

  it("makes initials", () => {
    expect(initials("Load Image")).toBe("li");
  });
});
