import { Toast as Radix } from "radix-ui";
import { Icon, type IconName } from "./Icon";
import { dismissToast, useToasts, type ShownToast } from "./toast";

const ICONS: Record<NonNullable<ShownToast["kind"]>, IconName> = { info: "info", success: "success", warning: "warning", danger: "error" };

/** Long enough to read: a base and a little per character. */
function readingTime(shown: ShownToast): number {
  if (shown.lasting) return Number.POSITIVE_INFINITY;
  return 3500 + (shown.title.length + (shown.text?.length ?? 0)) * 45 + (shown.actions ? 3000 : 0);
}

/** Mounted once by the app. */
export function Toasts() {
  const toasts = useToasts((state) => state.toasts);
  return (
    <Radix.Provider swipeDirection="right" label="Message">
      {toasts.map((shown) => (
        <OneToast key={`${shown.id}:${shown.stamp}`} shown={shown} />
      ))}
      <Radix.Viewport className="sl-toasts" label="Messages ({hotkey})" />
    </Radix.Provider>
  );
}

function OneToast({ shown }: { shown: ShownToast }) {
  const kind = shown.kind ?? "info";
  return (
    <Radix.Root
      className={`sl-toast sl-toast--${kind}`}
      duration={readingTime(shown)}
      type={kind === "danger" || kind === "warning" ? "foreground" : "background"}
      onOpenChange={(open) => !open && dismissToast(shown.id)}
    >
      <Icon name={ICONS[kind]} className="sl-toast__icon" />
      <div className="sl-toast__words">
        <Radix.Title className="sl-toast__title">{shown.title}</Radix.Title>
        {shown.text && <Radix.Description className="sl-toast__text">{shown.text}</Radix.Description>}
        {shown.actions && (
          <div className="sl-toast__actions">
            {shown.actions.map((action) => (
              <Radix.Action key={action.label} altText={action.label} className="sl-button sl-button--secondary sl-button--sm" onClick={action.run}>
                {action.label}
              </Radix.Action>
            ))}
          </div>
        )}
      </div>
      <Radix.Close className="sl-icon-button sl-icon-button--sm sl-button--ghost" aria-label="Close message">
        <Icon name="close" size={14} />
      </Radix.Close>
    </Radix.Root>
  );
}
