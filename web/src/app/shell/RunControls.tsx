import { useState } from "react";
import { useConnection, useJobRun, usePaused, useQueueCount } from "@/run";
import { runCommand, useCommandKeys } from "../commands/registry";
import { runActive, setBatch, setMode, useRunControl, type RunMode } from "../runControl";
import { useSetting } from "../settings/settings";
import { Icon, IconButton, Menu, Tooltip, classes, type IconName, type MenuItem } from "../ui";
import { togglePanel } from "./shellState";

const MODES: Record<RunMode, { label: string; icon: IconName; hint: string }> = {
  run: { label: "Run", icon: "play", hint: "Queue the workflow" },
  change: { label: "Run on change", icon: "zap", hint: "Queue after every edit" },
  front: { label: "Run next", icon: "arrowUp", hint: "At the front of the queue" },
};

export function RunControls() {
  return (
    <div className="sl-run" role="group" aria-label="Run">
      <Connection />
      <QueueState />
      <Batch />
      <RunButton />
    </div>
  );
}

function RunButton() {
  const mode = useRunControl((state) => state.mode);
  const keys = useCommandKeys("run.run");
  const { status, progress } = useJobRun();
  const busy = status === "running";
  const { label, icon } = MODES[mode];
  const items = (): MenuItem[] => [
    ...(Object.keys(MODES) as RunMode[]).map((one): MenuItem => ({ label: MODES[one].label, hint: MODES[one].hint, checked: one === mode, onSelect: () => setMode(one) })),
    "separator",
    { command: "run.selected" },
    "separator",
    { command: "run.interrupt" },
    { command: "run.pause" },
    { command: "run.clear", danger: true },
  ];
  return (
    <div className="sl-run__button">
      <Tooltip content={MODES[mode].hint} keys={keys}>
        <button type="button" className="sl-button sl-button--primary sl-run__main" onClick={() => void runActive()}>
          {busy && <span className="sl-run__progress" style={{ transform: `scaleX(${progress})` }} aria-hidden />}
          <Icon name={icon} size={14} />
          <span className="sl-run__label">{label}</span>
        </button>
      </Tooltip>
      <Menu
        align="end"
        items={items}
        trigger={
          <button type="button" className="sl-button sl-button--primary sl-run__modes" aria-label="Run modes">
            <Icon name="chevronDown" size={14} />
          </button>
        }
      />
    </div>
  );
}

function Batch() {
  const batch = useRunControl((state) => state.batch);
  const limit = useSetting("run.batchLimit");
  const [text, setText] = useState<string | null>(null);
  const commit = () => {
    if (text !== null) setBatch(Number(text));
    setText(null);
  };
  return (
    <Tooltip content="Batch count: how often a run is queued">
      <input
        className="sl-input sl-run__batch"
        aria-label="Batch count"
        type="number"
        min={1}
        max={limit}
        value={text ?? batch}
        onChange={(event) => setText(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === "Enter" && commit()}
      />
    </Tooltip>
  );
}

function QueueState() {
  const { pending, running } = useQueueCount();
  const paused = usePaused();
  const interruptKeys = useCommandKeys("run.interrupt");
  const total = pending + running;
  return (
    <>
      {total > 0 && (
        <Tooltip content={`${running} running, ${pending} waiting`}>
          <button type="button" className="sl-run__count" aria-label={`Queue: ${running} running, ${pending} waiting`} onClick={() => togglePanel("queue")}>
            {total}
          </button>
        </Tooltip>
      )}
      {(paused || pending > 0) && <IconButton icon={paused ? "play" : "pause"} label={paused ? "Resume the queue" : "Pause the queue"} active={paused} onClick={() => runCommand("run.pause")} />}
      {running > 0 && <IconButton icon="stop" label="Interrupt" variant="danger" keys={interruptKeys} onClick={() => runCommand("run.interrupt")} />}
    </>
  );
}

const STATES = { connecting: "Connecting to the server…", connected: "Connected to the server", reconnecting: "The server does not answer; trying again", lost: "No connection to the server" } as const;

function Connection() {
  const state = useConnection();
  return (
    <Tooltip content={STATES[state]}>
      <span className={classes("sl-connection", `is-${state}`)} role="status" aria-label={STATES[state]} tabIndex={-1}>
        <span className="sl-connection__dot" />
      </span>
    </Tooltip>
  );
}
