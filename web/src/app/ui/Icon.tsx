import * as icons from "./icons";

export type IconName = keyof typeof icons;

interface IconProps {
  name: IconName;
  size?: number;
  className?: string;
}

/** A decorative icon; whatever carries it has the name for screen readers. */
export function Icon({ name, size = 16, className }: IconProps) {
  const Drawn = icons[name];
  return <Drawn size={size} strokeWidth={1.75} className={className ? `sl-icon ${className}` : "sl-icon"} aria-hidden focusable={false} />;
}
