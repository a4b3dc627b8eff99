import { DropdownMenu } from "radix-ui";
import { create } from "zustand";
import { MenuLines, type MenuParts } from "./MenuLines";
import type { MenuItem } from "./menuItems";

interface OpenMenu {
  x: number;
  y: number;
  items: readonly MenuItem[];
}

const useOpenMenu = create<{ menu: OpenMenu | null }>(() => ({ menu: null }));

/** Opens a menu at a place of the window; any other such menu closes. */
export function openMenu(menu: OpenMenu): void {
  useOpenMenu.setState({ menu });
}

export function closeMenu(): void {
  useOpenMenu.setState({ menu: null });
}

/** Mounted once by the app. */
export function MenuHost() {
  const menu = useOpenMenu((state) => state.menu);
  if (!menu) return null;
  return (
    <DropdownMenu.Root key={`${menu.x},${menu.y}`} open onOpenChange={(open) => !open && closeMenu()} modal={false}>
      <DropdownMenu.Trigger asChild>
        <span className="sl-menu-anchor" style={{ left: menu.x, top: menu.y }} aria-hidden tabIndex={-1} />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="sl-menu" align="start" sideOffset={0} collisionPadding={8} onCloseAutoFocus={(event) => event.preventDefault()}>
          <MenuLines parts={DropdownMenu as MenuParts} items={menu.items} />
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
