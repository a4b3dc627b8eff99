import { ContextMenu as Radix } from "radix-ui";
import { useState, type ReactElement } from "react";
import { MenuLines, type MenuParts } from "./MenuLines";
import type { MenuItem } from "./menuItems";

interface ContextMenuProps {
  items: readonly MenuItem[] | (() => readonly MenuItem[]);
  /** One element: right click or the menu key on it opens the menu. */
  children: ReactElement;
}

export function ContextMenu({ items, children }: ContextMenuProps) {
  const [open, setOpen] = useState(false);
  return (
    <Radix.Root onOpenChange={setOpen} modal={false}>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className="sl-menu" collisionPadding={8}>
          {open && <MenuLines parts={Radix as MenuParts} items={typeof items === "function" ? items() : items} />}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
