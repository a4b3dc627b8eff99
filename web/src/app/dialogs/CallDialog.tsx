import { useEffect, useState } from "react";
import { savedWorkflow } from "@/api";
import { callText, type Way } from "@/calling/callTexts";
import { formFields } from "@/form/fields";
import type { Json } from "@/graph/types";
import { useActiveTab, useDocument, type Tab } from "@/workflows/workspace";
import { runCommand } from "../commands/registry";
import { Button, Dialog, Segmented, toast } from "../ui";
import { closeDialog } from "./dialogState";

const WAYS: readonly { value: Way; label: string }[] = [
  { value: "http", label: "HTTP" },
  { value: "python", label: "Python" },
  { value: "command", label: "Command line" },
];

const HINTS: Record<Way, string> = {
  http: "Where the server asks for a token, add -H 'Authorization: Bearer TOKEN'. -H 'Accept: image/png' brings the picture itself.",
  python: 'It runs in the process of the program, on the folders of the base directory: start it there, or say base="DIR" after the name. With engine.client.Client it runs on this server.',
  command: "It runs on the folders of the base directory: start it there, or say --base-directory DIR. With --server ADDRESS, which is that of this page, it runs on this server.",
};

/** How programs call the workflow in view, with the values that it has now. */
export function CallDialog() {
  const tab = useActiveTab();
  return tab ? <Calls key={tab.id} tab={tab} /> : null;
}

function Calls({ tab }: { tab: Tab }) {
  const [way, setWay] = useState<Way>("http");
  const document = useDocument(tab.store, (state) => state.document);
  const definitions = useDocument(tab.store, (state) => state.definitions);
  const dirty = useDocument(tab.store, (state) => state.dirty);
  const workflow = (tab.path ?? `${tab.name}.json`).replace(/\.json$/i, "");
  const exposed = formFields({ document, definitions }).map((field) => [field.name, field.value] as const);
  const inferred = useInferred(tab.path === null || exposed.length > 0 ? null : workflow);
  const text = callText({ workflow, server: new URL(".", window.location.href).href.replace(/\/$/, ""), values: exposed.length > 0 ? exposed : inferred }, way);
  const copy = () => void navigator.clipboard.writeText(text).then(() => toast({ kind: "success", title: "Copied" }));
  const unsaved = tab.path === null || dirty || tab.unsaved;
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && closeDialog()}
      size="lg"
      title="Call this workflow"
      description="Programs run the saved file by its name, with the values below or others. What is left out has its default."
      footer={
        <>
          {unsaved && (
            <Button icon="save" onClick={() => runCommand("workflow.save")}>
              Save
            </Button>
          )}
          <Button variant="primary" icon="copy" onClick={copy}>
            Copy
          </Button>
        </>
      }
    >
      <Segmented label="Way of calling" value={way} onChange={setWay} options={WAYS} />
      <pre className="sl-call" aria-label="The call" tabIndex={0}>
        {text}
      </pre>
      {unsaved && <p className="sl-hint">{tab.path === null ? "It is not saved yet: programs find it once it is." : "It has changed since it was saved: programs run what is in the file."}</p>}
      {exposed.length === 0 && <p className="sl-hint">No input is exposed, so the usual ones (prompt, seed, steps, size, pictures) go by names that are found in the graph. Expose inputs to name them yourself.</p>}
      <p className="sl-hint">{HINTS[way]}</p>
      {way === "http" && (
        <p className="sl-hint">
          <a href="api/v1/docs" target="_blank" rel="noreferrer">
            A form to try it
          </a>
        </p>
      )}
    </Dialog>
  );
}

/** Names and saved values of a file that exposes nothing, as the server finds them. */
function useInferred(workflow: string | null): readonly (readonly [string, Json])[] {
  const [found, setFound] = useState<readonly (readonly [string, Json])[]>([]);
  useEffect(() => {
    if (workflow === null) return;
    let gone = false;
    void savedWorkflow(workflow).then(
      (told) => !gone && setFound(Object.entries(told.parameters.properties ?? {}).flatMap(([name, one]) => (one.default === undefined ? [] : [[name, one.default] as const]))),
      () => undefined, // it is not there (any more): the call is shown without values
    );
    return () => {
      gone = true;
    };
  }, [workflow]);
  return found;
}
