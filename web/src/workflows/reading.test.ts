import { afterEach, expect, it, vi } from "vitest";
import { headOf, readFile, readText } from "./reading";

const posted: { path: string; type: string; body: Blob }[] = [];
vi.mock("@/api/client", () => ({
  request: (path: string, { body, headers }: { body: Blob; headers: Record<string, string> }) => {
    posted.push({ path, type: headers["Content-Type"] ?? "", body });
    return Promise.resolve({ json: () => Promise.resolve({ workflow: { nodes: [] }, notes: [{ message: "Odd", details: "x" }] }) });
  },
}));
vi.mock("@/app/ui/toast", () => ({ toast: () => "" }));
afterEach(() => posted.splice(0));

it("reads JSON here and asks the server for everything else", async () => {
  expect((await readFile(new Blob(['{"nodes": []}']), "a.json")).json).toEqual({ nodes: [] });
  expect((await readFile(new Blob(['\ufeff {"nodes": []}'], { type: "text/plain" }), "a.txt")).json).toEqual({ nodes: [] });
  expect(posted).toEqual([]);
  expect(await readFile(new Blob(["a cat\nSteps: 20, Sampler: Euler"]), "settings.txt")).toEqual({ json: { nodes: [] }, notes: [{ message: "Odd", details: "x" }] });
  await readFile(new Blob(["<svg/>"], { type: "image/svg+xml" }), "a.svg");
  await readText("a cat\nSteps: 20, Sampler: Euler");
  expect(posted.map((one) => [one.path, one.type])).toEqual([
    ["api/v1/convert?to=workflow", "text/plain"],
    ["api/v1/convert?to=workflow", "image/svg+xml"],
    ["api/v1/convert?to=workflow", "text/plain"],
  ]);
});

it("says what is wrong with JSON that is cut off", async () => {
  await expect(readFile(new Blob(['{"nodes": [']), "a.json")).rejects.toThrow("This is no JSON");
});

it("tells of numbers that a browser cannot hold", async () => {
  const { notes } = await readText('{"nodes": [], "seed": 18446744073709551615}');
  expect(notes.map((one) => one.message)).toEqual(["A browser cannot hold the number 18446744073709551615"]);
});

it("sends the head of a file of tensors alone", async () => {
  const head = new Uint8Array(8 + 4 + 1000);
  new DataView(head.buffer).setBigUint64(0, 4n, true);
  await readFile(new Blob([head]), "model.safetensors");
  expect(posted[0]?.body.size).toBe(12);
  new DataView(head.buffer).setBigUint64(0, 1n << 60n, true);
  expect((await headOf(new Blob([head]))).size).toBe(head.length);
  expect((await headOf(new Blob(["abc"]))).size).toBe(3);
});
