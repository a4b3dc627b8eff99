/** Opens a large graph when the address asks for one: `?testgraph=2000`. */
import { openWorkflow } from "@/workflows/opening";
import { useStarted } from "@/app/started";
import { testGraph } from "./testgraph.data";

/** Opens the graph that the address asks for, once the page is ready. */
export function openTestGraph(search: string): void {
  const count = Math.min(20_000, Number(new URLSearchParams(search).get("testgraph")) || 0);
  if (count === 0) return;
  const open = (): void => void openWorkflow({ name: `Test graph of ${count}`, json: testGraph(count) as never });
  if (useStarted.getState().started) return open();
  const stop = useStarted.subscribe(({ started }) => {
    if (!started) return;
    stop();
    open();
  });
}
