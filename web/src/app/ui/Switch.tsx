import { Switch as Radix } from "radix-ui";
import { useId } from "react";

interface SwitchProps {
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: string;
  hideLabel?: boolean;
  disabled?: boolean;
}

export function Switch({ checked, onChange, label, hideLabel, disabled }: SwitchProps) {
  const id = useId();
  return (
    <span className="sl-switch-row">
      {!hideLabel && <label htmlFor={id}>{label}</label>}
      <Radix.Root id={id} className="sl-switch" checked={checked} onCheckedChange={onChange} disabled={disabled} aria-label={hideLabel ? label : undefined}>
        <Radix.Thumb className="sl-switch__thumb" />
      </Radix.Root>
    </span>
  );
}
