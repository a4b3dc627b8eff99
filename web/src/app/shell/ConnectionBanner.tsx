import { useEffect, useState } from "react";
import { useConnection } from "@/run";
import { refreshDefinitions, useDefinitions } from "@/workflows/definitions";
import { useStarted } from "../started";
import { Button, Icon, Spinner } from "../ui";

/** A short break is nothing to speak of. */
const PATIENCE_MS = 1500;

/** Says so when the server cannot be reached; editing goes on. */
export function ConnectionBanner() {
  const connection = useConnection();
  const definitions = useDefinitions((state) => state.state);
  const started = useStarted((state) => state.started);
  const away = started && (connection === "reconnecting" || connection === "lost" || definitions === "failed");
  const [shown, setShown] = useState(false);
  const [trying, setTrying] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(away), away ? PATIENCE_MS : 0);
    return () => clearTimeout(timer);
  }, [away]);
  useEffect(() => {
    // The server is back, maybe with other nodes or models.
    if (connection === "connected" && shown) void refreshDefinitions();
  }, [connection, shown]);
  if (!shown) return null;
  const retry = async () => {
    setTrying(true);
    await refreshDefinitions();
    setTrying(false);
  };
  return (
    <div className="sl-banner" role="status">
      <Icon name="offline" />
      <span>
        <strong>The server does not answer.</strong> Keep editing: your work is kept in this browser, and queued runs are kept by the server and go on when it is back.
      </span>
      {connection !== "lost" && <Spinner size={14} />}
      <Button size="sm" loading={trying} onClick={() => void retry()}>
        Try again
      </Button>
    </div>
  );
}
