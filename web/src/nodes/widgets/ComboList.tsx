import { Command } from "cmdk";
import { Popover } from "radix-ui";
import { type RefObject, useState } from "react";
import { Icon } from "@/app/ui";
import { runCommand } from "@/app/commands/registry";
import type { Choice, InputDefinition } from "@/graph/definitions";
import type { Json } from "@/graph/types";

interface ComboListProps {
  readonly anchor: RefObject<HTMLElement | null>;
  readonly input: InputDefinition;
  readonly value: Json;
  readonly onChoose: (value: Json) => void;
  readonly onClose: () => void;
}

/** More than a screen of entries: what is typed narrows them down before they are drawn. */
const MOST = 200;

export function ComboList({ anchor, input, value, onChoose, onClose }: ComboListProps) {
  const [text, setText] = useState("");
  const choices = input.choices ?? [];
  const found = narrowed(choices, text);
  const isChosen = (choice: Choice): boolean => (Array.isArray(value) ? value.includes(choice) : value === choice);
  const choose = (choice: Choice): void => {
    if (!input.multiSelect) return onChoose(choice);
    const held = Array.isArray(value) ? value : [];
    onChoose(held.includes(choice) ? held.filter((one) => one !== choice) : [...held, choice]);
  };
  return (
    <Popover.Root open onOpenChange={(open) => !open && onClose()}>
      <Popover.Anchor virtualRef={anchor as RefObject<HTMLElement>} />
      <Popover.Portal>
        <Popover.Content className="sl-combo-list" align="end" sideOffset={4} collisionPadding={8} onCloseAutoFocus={(event) => event.preventDefault()} onPointerDownOutside={onClose}>
          <Command shouldFilter={false} label={input.label ?? input.name} defaultValue={typeof value === "string" ? value : String(value)}>
            <div className="sl-combo-head">
              <Icon name="search" size={13} />
              <Command.Input autoFocus placeholder={`Search ${choices.length} choices`} value={text} onValueChange={setText} onKeyDown={(event) => event.stopPropagation()} />
              <button type="button" className="sl-widget-button" aria-label="Refresh the lists" title="Refresh the lists" onClick={() => runCommand("app.refresh")}>
                <Icon name="refresh" size={13} />
              </button>
            </div>
            <Command.List>
              <Command.Empty>{choices.length === 0 ? "There is nothing to choose from. Put a file into the model folder and refresh." : "Nothing matches."}</Command.Empty>
              {found.slice(0, MOST).map((choice) => (
                <Command.Item key={String(choice)} value={String(choice)} data-chosen={isChosen(choice) || undefined} onSelect={() => choose(choice)}>
                  <span className="sl-combo-check">{isChosen(choice) && <Icon name="check" size={13} />}</span>
                  <span className="sl-combo-text" title={String(choice)}>{String(choice)}</span>
                </Command.Item>
              ))}
              {found.length > MOST && <div className="sl-combo-more">{found.length - MOST} more: type to narrow down</div>}
            </Command.List>
          </Command>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

/** Choices that hold every word typed, in their own order. */
function narrowed(choices: readonly Choice[], text: string): readonly Choice[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return choices;
  return choices.filter((choice) => words.every((word) => String(choice).toLowerCase().includes(word)));
}
