import { useActiveTab } from "@/workflows/workspace";
import { ParameterList } from "../inspector/ParameterList";
import { Button, Dialog } from "../ui";
import { setView } from "../shell/shellState";
import { closeDialog, openDialog } from "./dialogState";

/** What the workflow in view exposes to its form and to the API. */
export function ParametersDialog() {
  const tab = useActiveTab();
  if (!tab) return null;
  const toForm = () => {
    closeDialog();
    setView("form");
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && closeDialog()}
      title="Parameters"
      description="Inputs that people set in the form view, and that programs set by name. Mark more in the inspector, with the sliders beside an input."
      footer={
        <>
          <Button icon="terminal" onClick={() => openDialog("call")}>
            Call this workflow
          </Button>
          <Button icon="form" onClick={toForm}>
            Show the form
          </Button>
          <Button variant="primary" onClick={closeDialog}>
            Done
          </Button>
        </>
      }
    >
      <ParameterList store={tab.store} />
    </Dialog>
  );
}
