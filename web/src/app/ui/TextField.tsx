import { useId, type InputHTMLAttributes, type Ref } from "react";
import { Icon, type IconName } from "./Icon";
import { classes } from "./classes";

interface TextFieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "onChange" | "value"> {
  value: string;
  onChange: (value: string) => void;
  label: string;
  hideLabel?: boolean;
  icon?: IconName;
  /** Shows a button that empties the field. */
  clearable?: boolean;
  /** What is wrong with the value. */
  problem?: string | null | undefined;
  ref?: Ref<HTMLInputElement>;
}

export function TextField({ value, onChange, label, hideLabel, icon, clearable, problem, className, id, ...rest }: TextFieldProps) {
  const made = useId();
  const own = id ?? made;
  return (
    <div className={classes("sl-text-field", className)}>
      {!hideLabel && (
        <label className="sl-label" htmlFor={own}>
          {label}
        </label>
      )}
      <div className="sl-input-box">
        {icon && <Icon name={icon} size={14} className="sl-input-box__icon" />}
        <input
          id={own}
          className="sl-input"
          value={value}
          onChange={(event) => onChange(event.target.value)}
          aria-label={hideLabel ? label : undefined}
          aria-invalid={problem ? true : undefined}
          aria-describedby={problem ? `${own}-problem` : undefined}
          {...rest}
        />
        {clearable && value !== "" && (
          <button type="button" className="sl-input-box__clear" aria-label={`Clear ${label.toLowerCase()}`} onClick={() => onChange("")}>
            <Icon name="close" size={12} />
          </button>
        )}
      </div>
      {problem && (
        <p className="sl-field-problem" id={`${own}-problem`} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}
