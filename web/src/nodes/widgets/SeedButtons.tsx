import { Icon, openMenu } from "@/app/ui";
import type { IconName } from "@/app/ui";
import type { InputDefinition } from "@/graph/definitions";
import { AFTER_RUN, nextSeed } from "@/graph/widgets";
import type { WidgetActions, WidgetState } from "../useWidget";

const LOOKS: Readonly<Record<string, { icon: IconName; label: string }>> = {
  fixed: { icon: "lock", label: "Stays fixed" },
  increment: { icon: "plus", label: "Goes up by one after each run" },
  decrement: { icon: "minus", label: "Goes down by one after each run" },
  randomize: { icon: "refresh", label: "Is drawn anew after each run" },
};

/** A new seed at once, and what happens to it after a run. */
export function SeedButtons({ input, widget }: { input: InputDefinition; widget: WidgetState & WidgetActions }) {
  const look = LOOKS[widget.control] ?? { icon: "refresh" as const, label: widget.control };
  const roll = (): void => {
    widget.set(nextSeed(input, widget.value, "randomize"));
    widget.done();
  };
  const choose = (target: HTMLElement): void => {
    const { left, bottom } = target.getBoundingClientRect();
    const items = AFTER_RUN.map((control) => ({
      label: control[0]?.toUpperCase() + control.slice(1),
      icon: LOOKS[control]?.icon,
      checked: widget.control === control,
      onSelect: () => widget.setControl(control),
    }));
    openMenu({ x: left, y: bottom + 4, items: [{ heading: "Control after generate" }, ...items] });
  };
  return (
    <>
      <button type="button" className="sl-widget-button" aria-label="New random seed" data-tip="New random seed" onClick={roll}>
        <Icon name="dice" size={13} />
      </button>
      <button type="button" className="sl-widget-button" data-control={widget.control} aria-label={`Control after generate: ${widget.control}`} aria-haspopup="menu" data-tip={`After a run the seed: ${look.label.toLowerCase()}`} onClick={(event) => choose(event.currentTarget)}>
        <Icon name={look.icon} size={12} />
      </button>
    </>
  );
}
