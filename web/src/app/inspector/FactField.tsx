import { useState } from "react";
import { TextField } from "../ui";

interface FactFieldProps {
  label: string;
  /** As it stands in the workflow; empty where nothing is said. */
  value: string;
  placeholder?: string;
  numeric?: boolean;
  hideLabel?: boolean;
  /** Takes what was written, and says what is wrong with it; null: it was taken. */
  take: (written: string) => string | null;
}

/** A field whose text is taken when it is left, or on Enter; what is wrong stays, with the reason, until it is mended or Escape. */
export function FactField({ label, value, placeholder, numeric, hideLabel, take }: FactFieldProps) {
  const [draft, setDraft] = useState<{ text: string; problem: string | null } | null>(null);
  const commit = () => {
    if (draft === null || draft.text === value) return setDraft(null);
    const problem = take(draft.text);
    setDraft(problem === null ? null : { ...draft, problem });
  };
  return (
    <TextField
      label={label}
      hideLabel={hideLabel}
      value={draft?.text ?? value}
      placeholder={placeholder}
      inputMode={numeric ? "decimal" : undefined}
      problem={draft?.problem}
      onChange={(text) => setDraft({ text, problem: null })}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === "Enter") commit();
        if (event.key === "Escape" && draft !== null) {
          event.stopPropagation();
          setDraft(null);
        }
      }}
    />
  );
}
