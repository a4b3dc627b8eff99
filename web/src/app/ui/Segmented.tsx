import { ToggleGroup } from "radix-ui";
import { Icon, type IconName } from "./Icon";

interface SegmentedProps<T extends string> {
  value: T;
  onChange: (value: T) => void;
  options: readonly { value: T; label: string; icon?: IconName }[];
  label: string;
  /** Icons only; the labels become names for screen readers. */
  compact?: boolean;
}

/** A choice out of few, all in view. */
export function Segmented<T extends string>({ value, onChange, options, label, compact }: SegmentedProps<T>) {
  return (
    <ToggleGroup.Root type="single" className="sl-segmented" aria-label={label} value={value} onValueChange={(next) => next && onChange(next as T)}>
      {options.map((option) => (
        <ToggleGroup.Item key={option.value} value={option.value} className="sl-segmented__item" aria-label={compact ? option.label : undefined} title={compact ? option.label : undefined}>
          {option.icon && <Icon name={option.icon} size={14} />}
          {!compact && option.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  );
}
