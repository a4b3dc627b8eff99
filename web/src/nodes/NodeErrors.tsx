import { Icon } from "@/app/ui";
import { openErrorReport } from "@/panels/overlays";
import { clearNodeErrors, useNodeRunPart, type NodeError } from "@/run";
import { usePromptId } from "./usePromptId";

/** What went wrong on this node, and what to do, below it. */
export function NodeErrors({ id }: { id: string }) {
  const prompt = usePromptId(id);
  const first = useNodeRunPart(prompt, (run) => run?.error);
  const all = useNodeRunPart(prompt, (run) => run?.errors);
  if (first === undefined) return null;
  const errors = all && all.length > 0 ? all : [first];
  return (
    <div className="sl-node-error nodrag nopan" role="alert">
      <button type="button" className="sl-node-error-close" aria-label="Hide this error" onClick={() => clearNodeErrors(prompt)}>
        <Icon name="close" size={13} />
      </button>
      {errors.slice(0, 4).map((error, index) => (
        <OneError key={index} error={error} />
      ))}
      {!first.validation && (
        <button type="button" className="sl-node-error-more" onClick={() => openErrorReport()}>
          Show report
        </button>
      )}
    </div>
  );
}

function OneError({ error }: { error: NodeError }) {
  return (
    <p>
      <strong>{error.input ? `${error.input}: ` : ""}{error.message}</strong>
      {error.details && error.details !== error.message && !error.message.includes(error.details) && <span>{error.details}</span>}
      {error.hint && <span className="sl-node-error-hint">{error.hint}</span>}
    </p>
  );
}
