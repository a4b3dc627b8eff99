import { Dialog } from "../ui";
import { CallDialog } from "./CallDialog";
import { PacksDialog } from "./PacksDialog";
import { ParametersDialog } from "./ParametersDialog";
import { SettingsDialog } from "./SettingsDialog";
import { ShortcutSheet } from "./ShortcutSheet";
import { closeDialog, useDialogs } from "./dialogState";

/** The editor's own dialogs, one at a time. */
export function Dialogs() {
  const open = useDialogs((state) => state.open);
  const change = (next: boolean) => !next && closeDialog();
  switch (open) {
    case "settings":
      return <SettingsDialog />;
    case "parameters":
      return <ParametersDialog />;
    case "call":
      return <CallDialog />;
    case "packs":
      return <PacksDialog />;
    case "shortcuts":
      return (
        <Dialog open onOpenChange={change} title="Keyboard shortcuts" size="xl">
          <ShortcutSheet canvas />
        </Dialog>
      );
    default:
      return null;
  }
}
