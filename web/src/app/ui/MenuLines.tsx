import type { ContextMenu, DropdownMenu } from "radix-ui";
import { Icon } from "./Icon";
import { Kbd } from "./Kbd";
import { linesOf, type MenuAction, type MenuItem } from "./menuItems";
import { classes } from "./classes";

/** The parts that radix gives to both kinds of menu. */
export type MenuParts = Pick<typeof DropdownMenu | typeof ContextMenu, "Item" | "CheckboxItem" | "Separator" | "Label" | "Sub" | "SubTrigger" | "SubContent" | "Portal">;

export function MenuLines({ parts: P, items }: { parts: MenuParts; items: readonly MenuItem[] }) {
  return linesOf(items).map((line, index) => {
    if (line.kind === "separator") return <P.Separator key={index} className="sl-menu__separator" />;
    if (line.kind === "heading")
      return (
        <P.Label key={index} className="sl-menu__heading">
          {line.text}
        </P.Label>
      );
    return <ActionLine key={index} parts={P} action={line.action} />;
  });
}

function ActionLine({ parts: P, action }: { parts: MenuParts; action: MenuAction }) {
  const face = <Face action={action} />;
  if (action.items)
    return (
      <P.Sub>
        <P.SubTrigger className="sl-menu__item" disabled={action.disabled}>
          {face}
        </P.SubTrigger>
        <P.Portal>
          <P.SubContent className="sl-menu" sideOffset={4} collisionPadding={8}>
            <MenuLines parts={P} items={action.items} />
          </P.SubContent>
        </P.Portal>
      </P.Sub>
    );
  const className = classes("sl-menu__item", action.danger && "is-danger");
  if (action.checked !== undefined)
    return (
      <P.CheckboxItem className={className} checked={action.checked} disabled={action.disabled} onSelect={() => action.onSelect?.()}>
        {face}
      </P.CheckboxItem>
    );
  return (
    <P.Item className={className} disabled={action.disabled} onSelect={() => action.onSelect?.()}>
      {face}
    </P.Item>
  );
}

function Face({ action }: { action: MenuAction }) {
  return (
    <>
      <span className="sl-menu__icon">
        {action.checked ? <Icon name="check" size={14} /> : action.swatch ? <span className="sl-menu__swatch" style={{ background: action.swatch }} /> : action.icon && <Icon name={action.icon} size={14} />}
      </span>
      <span className="sl-menu__label">{action.label}</span>
      {action.hint && <span className="sl-menu__hint">{action.hint}</span>}
      {action.keys && <Kbd keys={action.keys} />}
      {action.items && <Icon name="chevronRight" size={14} />}
    </>
  );
}
