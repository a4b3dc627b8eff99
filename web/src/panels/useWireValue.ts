/** The value that a link carried, asked of the server once it is looked at. */
import { useEffect, useState } from "react";
import { describeOutput, type OutputRef } from "@/api/calls";
import { ApiError } from "@/api/client";
import type { ValueDescription } from "@/api/schema.gen";

export type WireValue = { state: "loading" } | { state: "found"; value: ValueDescription } | { state: "missing"; text: string };

/** Answers that were found, for the job whose links are looked at now. */
const known = new Map<string, ValueDescription>();
let knownJob = "";
const MOST = 300;

/** A pointer that only passes over a link asks nothing. */
const HOVER_MS = 80;

export function useWireValue(output: OutputRef | null, item: number): WireValue {
  const key = output ? `${output.job} ${output.node} ${output.slot} ${item}` : "";
  const [answer, setAnswer] = useState<{ key: string; value: WireValue } | null>(null);
  const { job, node, slot } = output ?? { job: "", node: "", slot: 0 };

  useEffect(() => {
    if (key === "" || known.has(key)) return;
    const aborter = new AbortController();
    const timer = setTimeout(() => {
      describeOutput({ job, node, slot }, item, { signal: aborter.signal })
        .then((value) => {
          keep(job, key, value);
          setAnswer({ key, value: { state: "found", value } });
        })
        .catch((error: unknown) => {
          if (!aborter.signal.aborted) setAnswer({ key, value: { state: "missing", text: textOf(error) } });
        });
    }, HOVER_MS);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [key, job, node, slot, item]);

  const cached = known.get(key);
  if (cached) return { state: "found", value: cached };
  return answer?.key === key ? answer.value : { state: "loading" };
}

function keep(job: string, key: string, value: ValueDescription): void {
  if (job !== knownJob || known.size > MOST) known.clear();
  knownJob = job;
  known.set(key, value);
}

function textOf(error: unknown): string {
  if (!(error instanceof ApiError)) return "The value could not be read.";
  return error.type === "unknown_job" ? "This run was deleted from the history. Run again to see the value." : error.message;
}
