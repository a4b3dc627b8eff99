import { DropdownMenu } from "radix-ui";
import { useState, type ReactElement } from "react";
import { MenuLines, type MenuParts } from "./MenuLines";
import type { MenuItem } from "./menuItems";

interface MenuProps {
  trigger: ReactElement;
  /** A function is asked at each opening, so that what can be used now is right. */
  items: readonly MenuItem[] | (() => readonly MenuItem[]);
  align?: "start" | "center" | "end";
  side?: "top" | "right" | "bottom" | "left";
  onOpenChange?: (open: boolean) => void;
}

export function Menu({ trigger, items, align = "start", side = "bottom", onOpenChange }: MenuProps) {
  const [open, setOpen] = useState(false);
  const change = (next: boolean) => {
    setOpen(next);
    onOpenChange?.(next);
  };
  return (
    <DropdownMenu.Root open={open} onOpenChange={change} modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="sl-menu" align={align} side={side} sideOffset={6} collisionPadding={8}>
          {open && <MenuLines parts={DropdownMenu as MenuParts} items={typeof items === "function" ? items() : items} />}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
