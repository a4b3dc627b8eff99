import { Slider as Radix } from "radix-ui";

interface SliderProps {
  value: number;
  min: number;
  max: number;
  step?: number;
  onChange: (value: number) => void;
  /** After the drag has ended. */
  onCommit?: (value: number) => void;
  label: string;
  format?: (value: number) => string;
  disabled?: boolean;
}

export function Slider({ value, min, max, step = 1, onChange, onCommit, label, format, disabled }: SliderProps) {
  const text = format ? format(value) : String(value);
  return (
    <span className="sl-slider-row">
      <Radix.Root
        className="sl-slider"
        value={[value]}
        min={min}
        max={max}
        step={step}
        disabled={disabled}
        onValueChange={([next]) => next !== undefined && onChange(next)}
        onValueCommit={([next]) => next !== undefined && onCommit?.(next)}
      >
        <Radix.Track className="sl-slider__track">
          <Radix.Range className="sl-slider__range" />
        </Radix.Track>
        <Radix.Thumb className="sl-slider__thumb" aria-label={label} aria-valuetext={text} />
      </Radix.Root>
      <output className="sl-slider__value">{text}</output>
    </span>
  );
}
