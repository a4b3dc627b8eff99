import { expect, test } from "vitest";
import type { DocumentStore } from "@/graph/store";
import { beforeRun, madeReady } from "./before";

test("a run waits for what its widgets have to do, and only those of its own workflow", async () => {
  const [store, other] = [{}, {}] as DocumentStore[] as [DocumentStore, DocumentStore];
  const done: string[] = [];
  const step = (name: string) => async () => {
    await Promise.resolve();
    done.push(name);
  };
  const forget = beforeRun(store, step("sent"));
  beforeRun(store, step("taken"));
  beforeRun(other, step("other"));
  await madeReady(store);
  expect(done).toEqual(["sent", "taken"]);
  forget();
  await madeReady(store);
  expect(done).toEqual(["sent", "taken", "taken"]);
});
