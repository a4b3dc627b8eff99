import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { JobDetails } from "@/api/calls";
import type { Message } from "@/api/messages";
import { checkOpenJobs, follow, forgetTab, onMessage, onPreview } from "./follow";
import { flush } from "./frames";
import { runMark } from "./hooks";
import { runStore, tabRun } from "./store";

const details: Record<string, JobDetails> = {};
vi.mock("@/api/calls", () => ({
  getJob: async (id: string) => {
    const found = details[id];
    if (!found) throw new (await import("@/api/client")).ApiError(404, "unknown_job", "There is no such job.");
    return found;
  },
}));

const PROMPT = {
  "1": { class_type: "Load", inputs: {} },
  "5:2": { class_type: "Sample", inputs: { model: ["1", 0] } },
  "5:3": { class_type: "Decode", inputs: { latent: ["5:2", 0] } },
  "9": { class_type: "Save", inputs: { images: ["5:3", 0] } },
  "10": { class_type: "Unused", inputs: {} },
};

function job(id: string, change: Partial<JobDetails> = {}): JobDetails {
  const made = { id, status: "in_progress", create_time: 0, workflow: { prompt: PROMPT, extra_data: {} }, outputs: {}, ...change } as JobDetails;
  details[id] = made;
  return made;
}

const say = (type: string, data: object) => onMessage({ type, data } as Message);
const progress = (id: string, nodes: Record<string, [string, number, number]>) =>
  say("progress_state", {
    prompt_id: id,
    nodes: Object.fromEntries(Object.entries(nodes).map(([node, [state, value, max]]) => [node, { state, value, max, node_id: node, display_node_id: node, prompt_id: id }])),
  });
const node = (id: string) => {
  flush();
  return tabRun("a").nodes[id];
};
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

beforeEach(() => {
  vi.stubGlobal("requestAnimationFrame", () => 0);
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
  forgetTab("a");
  forgetTab("b");
});
afterEach(() => vi.unstubAllGlobals());

const isSink = (_id: string, type: string) => type === "Save";

test("a run from its start to its end, with marks from the history", async () => {
  job("j");
  follow("j", "a", isSink);
  expect(tabRun("a")).toMatchObject({ status: "queued", jobId: "j", jobs: ["j"] });
  say("execution_start", { prompt_id: "j", timestamp: 0 });
  await settled();
  expect(node("9")?.state).toBe("waiting");
  expect(node("10")).toBeUndefined();
  say("execution_cached", { prompt_id: "j", nodes: ["1"] });
  say("executing", { prompt_id: "j", node: "5:2", display_node: "5:2" });
  progress("j", { "5:2": ["running", 5, 10] });
  expect(node("1")?.state).toBe("reused");
  expect(node("5:2")).toMatchObject({ state: "running", value: 5, max: 10 });
  expect(node("5")).toMatchObject({ state: "running", max: 2 });
  expect(tabRun("a").progress).toBeCloseTo((1 + 0.5) / 5 + 0.05, 1);
  progress("j", { "5:2": ["finished", 1, 1] });
  expect(node("5:2")?.state).toBe("finished");
  say("executed", { prompt_id: "j", node: "9", display_node: "9", output: { images: [{ filename: "x.png", subfolder: "", type: "output" }] } });
  expect(node("9")?.outputs?.images[0]?.filename).toBe("x.png");

  job("j", {
    status: "completed",
    nodes: {
      "1": { status: "reused", seconds: 0, display_node: "1" },
      "5:2": { status: "ran", seconds: 1.2, display_node: "5:2" },
      "5:3": { status: "ran", seconds: 0.3, display_node: "5:3" },
      "9": { status: "ran", seconds: 0.1, display_node: "9" },
      "9.0.0.x": { status: "ran", seconds: 0.4, display_node: "9" },
    },
    outputs: { "9": { images: [{ filename: "y.png", subfolder: "s", type: "temp" }] } },
  });
  say("execution_success", { prompt_id: "j", timestamp: 0 });
  await settled();
  expect(tabRun("a")).toMatchObject({ status: "done", progress: 1, jobs: [], currentNode: null });
  expect(runMark(node("1"))).toBe("reused");
  expect(runMark(node("5:2"))).toBe("ran 1.2 s");
  expect(runMark(node("5"))).toBe("ran 1.5 s");
  expect(node("9")?.seconds).toBeCloseTo(0.5);
  expect(node("9")?.outputs?.images).toMatchObject([{ filename: "y.png", subfolder: "s", type: "temp", media: "image" }]);
});

test("results of the run before stay until there are new ones; marks and errors do not", async () => {
  job("j", { status: "completed", outputs: { "9": { text: ["old"] } }, nodes: { "9": { status: "ran", seconds: 1, display_node: "9" } } });
  follow("j", "a", isSink);
  say("execution_success", { prompt_id: "j", timestamp: 0 });
  await settled();
  job("k");
  follow("k", "a", isSink);
  say("execution_start", { prompt_id: "k", timestamp: 0 });
  await settled();
  expect(node("9")).toMatchObject({ state: "waiting", outputs: { text: ["old"] } });
  expect(node("9")?.seconds).toBeUndefined();
});

test("a failing node carries its error, with what to do", async () => {
  const error = { node_id: "5:2", node_type: "Sample", exception_message: "It broke.\nExpected: more\nTry less.", exception_type: "ValueError", hint: "Try less.", traceback: ["x"] };
  job("j", { status: "failed", execution_error: error, nodes: { "5:2": { status: "failed", seconds: 0, display_node: "5:2" } } });
  follow("j", "a", isSink);
  say("execution_start", { prompt_id: "j", timestamp: 0 });
  say("execution_error", { prompt_id: "j", ...error });
  await settled();
  expect(tabRun("a")).toMatchObject({ status: "failed", error: { message: "It broke.", hint: "Try less.", details: "Expected: more", node: "5:2" } });
  expect(node("5:2")?.error?.message).toBe("It broke.");
  expect(node("5")).toMatchObject({ state: "error", error: { message: "It broke." } });
});

test("previews are shown while a node runs, the last one of a frame only", async () => {
  const made = vi.spyOn(URL, "createObjectURL").mockImplementation(() => `blob:${made.mock.calls.length}`);
  job("j");
  follow("j", "a", isSink);
  say("execution_start", { prompt_id: "j", timestamp: 0 });
  say("executing", { prompt_id: "j", node: "5:2", display_node: "5:2" });
  for (let count = 0; count < 3; count++) onPreview({ job: "j", node: "5:2", picture: new Blob([String(count)]) });
  expect(node("5:2")?.preview).toBe("blob:1");
  expect(node("5")?.preview).toBe("blob:1");
  progress("j", { "5:2": ["finished", 1, 1] });
  expect(node("5:2")?.preview).toBeUndefined();
});

test("after a restart of the server jobs go on, or are over", async () => {
  job("gone");
  job("ended");
  job("waits");
  for (const id of ["ended", "waits", "gone"]) follow(id, id === "waits" ? "a" : "b", isSink);
  say("execution_start", { prompt_id: "waits", timestamp: 0 });
  await settled();
  delete details["gone"];
  job("ended", { status: "completed" });
  job("waits", { status: "pending" });
  await checkOpenJobs();
  expect(tabRun("b").jobs).toEqual([]);
  expect(tabRun("a")).toMatchObject({ status: "queued", jobs: ["waits"] });
  job("waits", { status: "in_progress" });
  say("execution_start", { prompt_id: "waits", timestamp: 0 });
  expect(tabRun("a").status).toBe("running");
});

test("messages of jobs of other clients change nothing", () => {
  say("execution_start", { prompt_id: "other", timestamp: 0 });
  expect(runStore.getState().tabs).toEqual({});
});

test("what was told of a job before its tab was restored is not lost", async () => {
  job("early");
  say("execution_start", { prompt_id: "early", timestamp: 0 });
  say("execution_cached", { prompt_id: "early", nodes: ["1"] });
  progress("early", { "5:2": ["running", 3, 10] });
  follow("early", "a", isSink);
  await settled();
  expect(node("1")?.state).toBe("reused");
  expect(node("5:2")).toMatchObject({ state: "running", value: 3, max: 10 });
  expect(node("9")?.state).toBe("waiting");
});
