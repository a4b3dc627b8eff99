import { Select as Radix } from "radix-ui";
import { useId } from "react";
import { Icon } from "./Icon";
import { classes } from "./classes";

interface SelectProps<T extends string> {
  value: T;
  onChange: (value: T) => void;
  options: readonly { value: T; label: string }[];
  label: string;
  hideLabel?: boolean;
  size?: "sm" | "md";
  disabled?: boolean;
}

export function Select<T extends string>({ value, onChange, options, label, hideLabel, size = "md", disabled }: SelectProps<T>) {
  const id = useId();
  return (
    <div className="sl-text-field">
      {!hideLabel && (
        <label className="sl-label" htmlFor={id}>
          {label}
        </label>
      )}
      <Radix.Root value={value} onValueChange={(next) => onChange(next as T)} disabled={disabled}>
        <Radix.Trigger id={id} className={classes("sl-select", `sl-select--${size}`)} aria-label={hideLabel ? label : undefined}>
          <Radix.Value />
          <Radix.Icon asChild>
            <span className="sl-select__arrow">
              <Icon name="chevronDown" size={14} />
            </span>
          </Radix.Icon>
        </Radix.Trigger>
        <Radix.Portal>
          <Radix.Content className="sl-menu sl-select__list" position="popper" sideOffset={4} collisionPadding={8}>
            <Radix.Viewport>
              {options.map((option) => (
                <Radix.Item key={option.value} value={option.value} className="sl-menu__item">
                  <span className="sl-menu__icon">
                    <Radix.ItemIndicator>
                      <Icon name="check" size={14} />
                    </Radix.ItemIndicator>
                  </span>
                  <Radix.ItemText>{option.label}</Radix.ItemText>
                </Radix.Item>
              ))}
            </Radix.Viewport>
          </Radix.Content>
        </Radix.Portal>
      </Radix.Root>
    </div>
  );
}
