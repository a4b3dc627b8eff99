/** The server's log, as it grows. */
import { useEffect, useRef, useState } from "react";
import { logs, subscribeLogs } from "@/api/calls";
import type { LogEntry } from "@/api/schema.gen";
import { IconButton, TextField, toast } from "@/app/ui";
import { onLogs } from "@/run/logs";
import { useConnection } from "@/run/hooks";
import "./panels.css";

const MOST = 2000;

function useLog(): [readonly LogEntry[], () => void] {
  const [entries, setEntries] = useState<readonly LogEntry[]>([]);
  const connected = useConnection() === "connected";
  useEffect(() => {
    if (!connected) return;
    const stop = onLogs((added) => setEntries((before) => [...before, ...added].slice(-MOST)));
    subscribeLogs(true)
      .then(logs)
      .then((found) => setEntries(found.slice(-MOST)))
      .catch(() => undefined); // the connection has gone again: it is asked anew when it is back
    return () => {
      stop();
      subscribeLogs(false).catch(() => undefined);
    };
  }, [connected]);
  return [entries, () => setEntries([])];
}

const isBad = (text: string) => /\b(error|traceback|exception|critical)\b/i.test(text);

export function LogPanel() {
  const [entries, clear] = useLog();
  const [filter, setFilter] = useState("");
  const [atEnd, setAtEnd] = useState(true);
  const list = useRef<HTMLDivElement>(null);
  const wanted = filter.toLowerCase();
  const shown = wanted ? entries.filter(({ m }) => m.toLowerCase().includes(wanted)) : entries;

  useEffect(() => {
    if (atEnd && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [shown, atEnd]);

  const copy = () => {
    void navigator.clipboard.writeText(shown.map(({ t, m }) => `${t} ${m}`).join("")).then(() => toast({ kind: "success", title: "Log copied" }));
  };
  return (
    <section className="sl-panel sl-log" aria-label="Server log">
      <div className="sl-panel__bar">
        <TextField label="Filter the log" hideLabel placeholder="Filter" icon="search" value={filter} onChange={setFilter} clearable />
        <span className="sl-panel__count">{shown.length} lines</span>
        <IconButton size="sm" icon="copy" label="Copy the log" onClick={copy} />
        <IconButton size="sm" icon="trash" label="Empty this view" onClick={clear} />
      </div>
      <div
        className="sl-log__lines"
        ref={list}
        role="log"
        aria-live="off"
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => setAtEnd(scrollTop + clientHeight > scrollHeight - 24)}
      >
        {shown.map(({ t, m }, index) => (
          <div key={`${t} ${index}`} className={isBad(m) ? "is-bad" : undefined}>
            {/^\d\d:\d\d:\d\d/.test(m) ? m : `${t.slice(11, 19)} ${m}`}
          </div>
        ))}
      </div>
    </section>
  );
}
