import { useNodeRunPart } from "@/run";
import { usePromptId } from "./usePromptId";

/** How far a running node is, under its title. Alone in its own component: it changes many times a second. */
export function NodeProgress({ id }: { id: string }) {
  const prompt = usePromptId(id);
  const running = useNodeRunPart(prompt, (run) => run?.state === "running");
  const share = useNodeRunPart(prompt, (run) => (run?.max ? Math.round(((run.value ?? 0) / run.max) * 200) / 200 : null));
  const steps = useNodeRunPart(prompt, (run) => (run?.max && run.max > 1 ? `${run.value ?? 0}/${run.max}` : ""));
  const text = useNodeRunPart(prompt, (run) => run?.text ?? "");
  if (!running) return null;
  return (
    <div className="sl-node-progress" role="progressbar" aria-valuemin={0} aria-valuemax={100} aria-valuenow={share === null ? undefined : Math.round(share * 100)} aria-label="Progress" data-vague={share === null || undefined}>
      <div className="sl-node-progress-bar" style={{ transform: `scaleX(${share ?? 1})` }} />
      {(steps || text) && <span className="sl-node-progress-text">{text || steps}</span>}
    </div>
  );
}
