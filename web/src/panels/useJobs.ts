/** Pages of jobs from the server, fetched again when the queue changed. */
import { useCallback, useEffect, useRef, useState } from "react";
import { listJobs, type JobStatus, type JobSummary } from "@/api/calls";
import { useRun } from "@/run/store";

const PAGE = 48;

export interface Jobs {
  jobs: readonly JobSummary[];
  total: number;
  more: boolean;
  loading: boolean;
  error: string | null;
  loadMore: () => void;
  reload: () => void;
}

interface Page {
  jobs: readonly JobSummary[];
  total: number;
  more: boolean;
  error: string | null;
  loading: boolean;
}

const NOTHING: Page = { jobs: [], total: 0, more: false, error: null, loading: true };

/** `statuses` must be the same array from call to call. */
export function useJobs(statuses: readonly JobStatus[], page = PAGE): Jobs {
  const version = useRun((state) => state.queueVersion);
  const connected = useRun((state) => state.connection === "connected");
  const [found, setFound] = useState<Page>(NOTHING);
  const [count, setCount] = useState(page);
  const [round, setRound] = useState(0);
  const last = useRef(statuses);

  useEffect(() => {
    const aborter = new AbortController();
    const fresh = last.current !== statuses;
    last.current = statuses;
    const limit = fresh ? page : count;
    // Many jobs may end within a moment: one question for all of them.
    const timer = setTimeout(() => {
      listJobs({ status: statuses, limit }, { signal: aborter.signal })
        .then(({ jobs, total, more }) => setFound({ jobs, total, more, error: null, loading: false }))
        .catch((error: Error) => {
          if (!aborter.signal.aborted) setFound((before) => ({ ...before, error: error.message, loading: false }));
        });
    }, 60);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [statuses, version, connected, count, round, page]);

  const loadMore = useCallback(() => setCount((before) => before + page), [page]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  return { ...found, loadMore, reload };
}
