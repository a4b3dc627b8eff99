/** The focus for a node that is not on the page yet: one out of view is mounted only when the view has come to it. */
import type { NodeId } from "@/graph/types";

const EVERY = 40;
const AT_MOST = 5000;

let newest = 0;

/**
 * Gives the node the focus after `delay` ms, or as soon after it as it is mounted, which a busy page may take long for.
 * A newer call ends this one, and so does the user who puts the focus elsewhere while it waits.
 */
export function focusOnceMounted(root: () => HTMLElement | null, id: NodeId, delay: number): void {
  const turn = ++newest;
  const end = performance.now() + delay + AT_MOST;
  let waiting: Element | null | undefined;
  const attempt = (): void => {
    const focused = document.activeElement;
    if (turn !== newest || (waiting !== undefined && focused !== waiting && focused !== document.body)) return;
    waiting = focused;
    const node = root()?.querySelector<HTMLElement>(`[data-node="${CSS.escape(id)}"]`);
    if (node) node.focus({ preventScroll: true });
    else if (performance.now() < end) window.setTimeout(attempt, EVERY);
  };
  window.setTimeout(attempt, delay);
}
