import { Tabs as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { Icon, type IconName } from "./Icon";
import { classes } from "./classes";

export interface TabItem<T extends string> {
  value: T;
  label: string;
  icon?: IconName;
  badge?: ReactNode;
}

interface TabsProps<T extends string> {
  value: T;
  onChange: (value: T) => void;
  tabs: readonly TabItem<T>[];
  /** Name of the row of tabs for screen readers. */
  label: string;
  /** What the chosen tab shows. */
  children?: ReactNode;
  className?: string;
  /** Stands at the end of the row. */
  extra?: ReactNode;
}

export function Tabs<T extends string>({ value, onChange, tabs, label, children, className, extra }: TabsProps<T>) {
  return (
    <Radix.Root className={classes("sl-tabs", className)} value={value} onValueChange={(next) => onChange(next as T)}>
      <div className="sl-tabs__row">
        <Radix.List className="sl-tabs__list" aria-label={label}>
          {tabs.map((tab) => (
            <Radix.Trigger key={tab.value} value={tab.value} className="sl-tabs__tab">
              {tab.icon && <Icon name={tab.icon} size={14} />}
              {tab.label}
              {tab.badge}
            </Radix.Trigger>
          ))}
        </Radix.List>
        {extra}
      </div>
      {children !== undefined && (
        <Radix.Content value={value} className="sl-tabs__content" tabIndex={-1}>
          {children}
        </Radix.Content>
      )}
    </Radix.Root>
  );
}
