import { useState } from "react";

interface TitleFieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  /** Null: taken back. */
  readonly onDone: (title: string | null) => void;
}

/** A field for a title: Enter or leaving it takes the text, Escape does not. */
export function TitleField({ label, value, placeholder, onDone }: TitleFieldProps) {
  const [text, setText] = useState(value);
  return (
    <input
      className="sl-title-field nodrag nopan"
      aria-label={label}
      autoFocus
      value={text}
      placeholder={placeholder}
      onChange={(event) => setText(event.target.value)}
      onFocus={(event) => event.target.select()}
      onBlur={() => onDone(text.trim())}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") event.currentTarget.blur();
        if (event.key === "Escape") onDone(null);
      }}
    />
  );
}
