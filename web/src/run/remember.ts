/** Which jobs a tab queued last, kept over reloads of the page. */
const KEY = "safelight.runs";
const MOST_TABS = 40;
/** Of each tab, so that a batch that waits is heard of again. */
const MOST_JOBS = 30;

export function rememberJob(tab: string, job: string): void {
  const known = read();
  const jobs = [...(known[tab] ?? []), job].slice(-MOST_JOBS);
  delete known[tab]; // the tab used last stands last
  write({ ...known, [tab]: jobs });
}

/** The oldest first. */
export function rememberedJobs(tab: string): string[] {
  return read()[tab] ?? [];
}

function write(runs: Record<string, string[]>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(runs).slice(-MOST_TABS))));
  } catch {
    // Storage may be full or forbidden: then a reload does not find the run again.
  }
}

function read(): Record<string, string[]> {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>;
    return Object.fromEntries(Object.entries(found).map(([tab, jobs]) => [tab, Array.isArray(jobs) ? jobs.map(String) : []]));
  } catch {
    return {};
  }
}
