import type { ReactNode } from "react";
import { Icon, type IconName } from "./Icon";

export function EmptyState({ icon, title, text, action }: { icon: IconName; title: string; text?: ReactNode; action?: ReactNode }) {
  return (
    <div className="sl-empty">
      <Icon name={icon} size={24} />
      <p className="sl-empty__title">{title}</p>
      {text && <p className="sl-empty__text">{text}</p>}
      {action}
    </div>
  );
}
