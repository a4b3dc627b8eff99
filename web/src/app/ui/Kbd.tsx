import { Fragment } from "react";
import { showKeys } from "../commands/keys";

/** A key combination as keycaps: "Mod+Shift+K" → Ctrl ⇧ K, or ⌘ ⇧ K on a Mac. */
export function Kbd({ keys }: { keys: string }) {
  return (
    <span className="sl-keys">
      {showKeys(keys).map((key, index) => (
        <Fragment key={`${index}${key}`}>
          <kbd className="sl-kbd">{key}</kbd>
        </Fragment>
      ))}
    </span>
  );
}
