import { useEffect, useMemo, useState } from "react";
import { addAtCentre } from "../library/addAtCentre";
import { ApiError } from "@/api/client";
import type { NodeDefinition } from "@/graph/definitions";
import { readPacksAnew, refreshPacks } from "@/packs/start";
import { errorsOf, usePacks, type PackReport } from "@/packs/report";
import { useDefinitions } from "@/workflows/definitions";
import { Badge, Button, Dialog, EmptyState, Icon, IconButton, Spinner, TextField, toast } from "../ui";
import { closeDialog } from "./dialogState";
import "./packs.css";

/** What the server tells of its node packs: what each has, how long it took, and what is wrong with it. */
export function PacksDialog() {
  const packs = usePacks((state) => state.packs);
  const [text, setText] = useState("");
  const [changes, setChanges] = useState<readonly string[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    refreshPacks().catch((error: unknown) => setProblem(wordsOf(error)));
  }, []);
  const reload = async () => {
    setBusy(true);
    setProblem(null);
    try {
      setChanges(await readPacksAnew());
    } catch (error) {
      setProblem(wordsOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && closeDialog()}
      title="Node packs"
      size="lg"
      className="sl-packs-dialog"
      description="Packs are folders and files in custom_nodes/. One that fails stops no other."
      footer={
        <>
          <Button icon="refresh" loading={busy} onClick={() => void reload()}>
            {busy ? "Reading the packs…" : "Reload packs"}
          </Button>
          <Button variant="primary" onClick={closeDialog}>
            Close
          </Button>
        </>
      }
    >
      <TextField label="Filter packs and nodes" hideLabel icon="search" clearable placeholder="Filter packs and nodes…" value={text} onChange={setText} />
      <div role="status" className="sl-packs__status">
        {problem !== null && <p className="sl-packs__problem">{problem}</p>}
        {changes !== null && !busy && (
          <ul className="sl-packs__changes" aria-label="What is different">
            {changes.map((change) => (
              <li key={change}>{change}</li>
            ))}
          </ul>
        )}
      </div>
      {packs === null ? problem === null && <Spinner label="Reading the report" /> : <Packs packs={packs} text={text} />}
    </Dialog>
  );
}

function wordsOf(error: unknown): string {
  return error instanceof ApiError || error instanceof Error ? error.message : String(error);
}

const RANKS = { failed: 0, loaded: 1, disabled: 2 } as const;

function Packs({ packs, text }: { packs: readonly PackReport[]; text: string }) {
  const problems = usePacks((state) => state.problems);
  const definitions = useDefinitions((state) => state.definitions);
  const query = text.trim().toLowerCase();
  const shown = useMemo(() => {
    const fits = (word: string) => word.toLowerCase().includes(query);
    const rank = (pack: PackReport) => (errorsOf(pack, { problems }).length > 0 ? 0 : RANKS[pack.state]);
    return packs
      .map((pack) => ({ pack, nodes: fits(pack.name) ? pack.nodes : pack.nodes.filter((type) => fits(type) || fits(definitions.get(type)?.title ?? "")) }))
      .filter(({ pack, nodes }) => fits(pack.name) || nodes.length > 0 || errorsOf(pack, { problems }).some(fits))
      .sort((a, b) => rank(a.pack) - rank(b.pack) || a.pack.name.localeCompare(b.pack.name));
  }, [packs, problems, definitions, query]);
  if (packs.length === 0) return <EmptyState icon="puzzle" title="No node packs" text="Put a pack's folder into custom_nodes/ and press “Reload packs”." />;
  if (shown.length === 0) return <EmptyState icon="puzzle" title="No pack and no node fits" />;
  return (
    <ul className="sl-packs" aria-label="Node packs">
      {shown.map(({ pack, nodes }) => (
        <Pack key={`${pack.name}:${pack.module}`} pack={pack} nodes={nodes} errors={errorsOf(pack, { problems })} open={query !== "" && nodes.length < pack.nodes.length} />
      ))}
    </ul>
  );
}

const STATES = {
  loaded: { kind: "success", word: "loaded" },
  failed: { kind: "danger", word: "failed" },
  disabled: { kind: "neutral", word: "disabled" },
} as const;

interface PackProps {
  pack: PackReport;
  /** Those of its nodes that fit the filter. */
  nodes: readonly string[];
  errors: readonly string[];
  /** Whether the filter is about its nodes. */
  open: boolean;
}

function Pack({ pack, nodes, errors, open }: PackProps) {
  const [opened, setOpened] = useState(false);
  const listed = (opened || open) && nodes.length > 0;
  const state = pack.state === "loaded" && errors.length > 0 ? ({ kind: "warning", word: "with errors" } as const) : STATES[pack.state];
  const count = `${pack.nodes.length} ${pack.nodes.length === 1 ? "node" : "nodes"}`;
  return (
    <li className="sl-pack" data-pack={pack.name} data-state={pack.state}>
      <div className="sl-pack__head">
        <button type="button" className="sl-pack__name" aria-expanded={listed} disabled={nodes.length === 0} onClick={() => setOpened(!opened)}>
          <Icon name={listed ? "chevronDown" : "chevronRight"} size={14} />
          <span>{pack.name}</span>
        </button>
        <Badge kind={state.kind}>{state.word}</Badge>
        <span className="sl-pack__facts">{pack.state === "disabled" ? "switched off" : `${count} · ${seconds(pack.seconds)}`}</span>
      </div>
      {errors.length > 0 && <Errors pack={pack.name} errors={errors} />}
      {listed && <Nodes types={nodes} />}
    </li>
  );
}

function seconds(taken: number): string {
  return taken < 0.1 ? `${Math.round(taken * 1000)} ms` : `${taken.toFixed(taken < 10 ? 2 : 0)} s`;
}

function Errors({ pack, errors }: { pack: string; errors: readonly string[] }) {
  const copy = () => {
    navigator.clipboard
      .writeText(`${pack}\n\n${errors.join("\n\n")}`)
      .then(() => toast({ kind: "success", title: "Errors copied" }))
      .catch(() => toast({ kind: "warning", title: "The errors could not be copied", text: "Select the text and copy it." }));
  };
  return (
    <div className="sl-pack__errors">
      <IconButton icon="copy" size="sm" label={`Copy the errors of ${pack}`} onClick={copy} />
      {errors.map((error, index) => (
        <pre key={index} tabIndex={0}>
          {error}
        </pre>
      ))}
    </div>
  );
}

function Nodes({ types }: { types: readonly string[] }) {
  const definitions = useDefinitions((state) => state.definitions);
  return (
    <ul className="sl-pack__nodes">
      {types.map((type) => (
        <li key={type}>
          <NodeButton type={type} definition={definitions.get(type)} />
        </li>
      ))}
    </ul>
  );
}

function NodeButton({ type, definition }: { type: string; definition: NodeDefinition | undefined }) {
  const add = () => {
    closeDialog();
    // After the dialog has given the focus back.
    setTimeout(() => addAtCentre(type));
  };
  return (
    <button type="button" className="sl-pack__node" disabled={definition === undefined} title={definition?.doc || undefined} onClick={add}>
      <Icon name="plus" size={12} />
      <span>{definition?.title ?? type}</span>
      {definition !== undefined && definition.title !== type && <code>{type}</code>}
    </button>
  );
}
