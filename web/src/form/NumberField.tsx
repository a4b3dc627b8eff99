import { useState } from "react";
import type { InputDefinition } from "@/graph/definitions";
import type { Json } from "@/graph/types";
import { coerce } from "@/graph/widgets";

interface NumberFieldProps {
  id: string;
  input: InputDefinition;
  value: number;
  onChange: (value: Json) => void;
}

/** A number that may be half-typed: it is taken once it is one, and put right when the field is left. */
export function NumberField({ id, input, value, onChange }: NumberFieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const take = (text: string) => {
    setTyped(text);
    const number = Number(text);
    if (text.trim() !== "" && Number.isFinite(number) && coerce(input, number) === number) onChange(number);
  };
  const leave = () => {
    if (typed !== null && typed.trim() !== "" && Number.isFinite(Number(typed))) onChange(coerce(input, Number(typed)));
    setTyped(null);
  };
  return (
    <input
      id={id}
      className="sl-input sl-form__number"
      type="number"
      inputMode={input.kind === "int" ? "numeric" : "decimal"}
      min={input.min}
      max={input.max}
      step={input.step ?? (input.kind === "int" ? 1 : "any")}
      value={typed ?? value}
      onChange={(event) => take(event.target.value)}
      onBlur={leave}
    />
  );
}
