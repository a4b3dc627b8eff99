import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { Icon } from "./Icon";
import { classes } from "./classes";

interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  description?: ReactNode;
  size?: "sm" | "md" | "lg" | "xl";
  footer?: ReactNode;
  children?: ReactNode;
  /** Beside the title. */
  extra?: ReactNode;
  className?: string;
  /** What gets the focus on opening; by default the first control. */
  onOpenAutoFocus?: (event: Event) => void;
}

/** The first field, else the usual answer, else the dialog itself: the close button is nobody's first aim. */
function focusFirst(event: Event): void {
  if (!(event.currentTarget instanceof HTMLElement)) return;
  event.preventDefault();
  const dialog = event.currentTarget;
  const target = dialog.querySelector<HTMLElement>(".sl-dialog__body :is(input, textarea, select):not([disabled]), .sl-dialog__foot .sl-button--primary:not([disabled])");
  (target ?? dialog).focus();
}

export function Dialog({ open, onOpenChange, title, description, size = "md", footer, children, extra, className, onOpenAutoFocus }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="sl-backdrop" />
        <Radix.Content className={classes("sl-dialog", `sl-dialog--${size}`, className)} onOpenAutoFocus={onOpenAutoFocus ?? focusFirst} {...(description ? {} : { "aria-describedby": undefined })}>
          <header className="sl-dialog__head">
            <Radix.Title className="sl-dialog__title">{title}</Radix.Title>
            {extra}
            <Radix.Close className="sl-icon-button sl-icon-button--md sl-button--ghost" aria-label="Close">
              <Icon name="close" />
            </Radix.Close>
          </header>
          {description && <Radix.Description className="sl-dialog__description">{description}</Radix.Description>}
          {children !== undefined && <div className="sl-dialog__body">{children}</div>}
          {footer && <footer className="sl-dialog__foot">{footer}</footer>}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
