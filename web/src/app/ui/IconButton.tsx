import type { ButtonHTMLAttributes, Ref } from "react";
import { Icon, type IconName } from "./Icon";
import { Tooltip, type TooltipSide } from "./Tooltip";
import { classes } from "./classes";

export interface IconButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "aria-label"> {
  icon: IconName;
  /** The name for screen readers, shown as the tooltip too. */
  label: string;
  size?: "sm" | "md" | "lg";
  active?: boolean;
  variant?: "ghost" | "secondary" | "danger";
  /** Keys shown in the tooltip. */
  keys?: string | undefined;
  tooltipSide?: TooltipSide;
  ref?: Ref<HTMLButtonElement>;
}

export function IconButton({ icon, label, size = "md", active, variant = "ghost", keys, tooltipSide, className, type = "button", ...rest }: IconButtonProps) {
  return (
    <Tooltip content={label} keys={keys} side={tooltipSide}>
      <button
        type={type}
        className={classes("sl-icon-button", `sl-icon-button--${size}`, `sl-button--${variant}`, active && "is-active", className)}
        aria-label={label}
        aria-pressed={active}
        {...rest}
      >
        <Icon name={icon} size={size === "sm" ? 14 : size === "lg" ? 20 : 16} />
      </button>
    </Tooltip>
  );
}
