/** A workflow without its graph: the inputs that it exposes, Run, and the result. */
import { useState } from "react";
import { useStore } from "zustand";
import { useShallow } from "zustand/react/shallow";
import { Button, EmptyState, toast } from "@/app/ui";
import type { DocumentStore } from "@/graph/store";
import { interruptActive } from "@/run/actions";
import { useConnection, useJobRun } from "@/run/hooks";
import { submit } from "@/run/submit";
import { Field } from "./Field";
import { exposeUsual, formFields } from "./fields";
import { FormResult } from "./FormResult";
import "./form.css";

interface FormViewProps {
  store: DocumentStore;
  tab: string;
}

export function FormView({ store, tab }: FormViewProps) {
  const parts = useStore(store, useShallow(({ document, definitions }) => ({ document, definitions })));
  const fields = formFields(parts);
  return (
    <div className="sl-form" onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.stopPropagation()}>
      <section className="sl-form__inputs" aria-label="Inputs">
        {fields.length === 0 ? (
          <Nothing store={store} />
        ) : (
          <form
            className="sl-form__fields"
            onSubmit={(event) => {
              event.preventDefault();
              void runForm(store, tab);
            }}
          >
            {fields.map((field) => (
              <Field key={field.name} store={store} field={field} />
            ))}
            <RunRow />
          </form>
        )}
      </section>
      <FormResult store={store} />
    </div>
  );
}

async function runForm(store: DocumentStore, tab: string): Promise<void> {
  const { error } = await submit({ store, tab });
  if (error && Object.keys(error.nodeErrors).length === 0) toast({ kind: "danger", title: "The run was refused", text: error.message });
}

function RunRow() {
  const run = useJobRun();
  const connected = useConnection() === "connected";
  const [stopping, setStopping] = useState(false);
  const active = run.status === "running" || run.status === "queued";
  const stop = () => {
    setStopping(true);
    interruptActive()
      .catch((error: Error) => toast({ kind: "danger", title: "The run could not be stopped", text: error.message }))
      .finally(() => setStopping(false));
  };
  return (
    <div className="sl-form__run">
      <Button type="submit" variant="primary" size="lg" icon="play" disabled={!connected}>
        {active ? "Run again" : "Run"}
      </Button>
      {run.status === "running" && (
        <Button size="lg" icon="stop" loading={stopping} onClick={stop}>
          Stop
        </Button>
      )}
      <span className="sl-form__state" role="status">
        {run.status === "queued" && "Waiting in the queue"}
        {run.status === "running" && `${Math.round(run.progress * 100)} %`}
      </span>
      {active && (
        <span className="sl-form__bar" aria-hidden>
          <span style={{ transform: `scaleX(${run.progress})` }} />
        </span>
      )}
    </div>
  );
}

function Nothing({ store }: { store: DocumentStore }) {
  const expose = () => {
    if (exposeUsual(store) === 0) toast({ title: "No usual inputs were found", text: "In the graph, open the menu of an input and choose “Expose as parameter”." });
  };
  return (
    <EmptyState
      icon="form"
      title="This workflow exposes no inputs yet"
      text="In the graph, open the menu of an input and choose “Expose as parameter”: it then stands here. Or begin with the inputs that most people want."
      action={
        <Button variant="primary" icon="wand" onClick={expose}>
          Expose the usual inputs
        </Button>
      }
    />
  );
}
