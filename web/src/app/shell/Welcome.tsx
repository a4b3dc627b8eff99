import { setSetting, useSetting } from "../settings/settings";
import { useStarted } from "../started";
import { Button, IconButton, Kbd } from "../ui";
import { commandKeys } from "../commands/registry";
import { openPanel } from "./shellState";

/** For the first visit: what to do first, without standing in the way of it. */
export function Welcome() {
  const welcomed = useSetting("welcomed");
  const started = useStarted((state) => state.started);
  if (welcomed || !started) return null;
  const close = () => setSetting("welcomed", true);
  return (
    <section className="sl-welcome" aria-label="Introduction">
      <header>
        <h2>A workflow is ready</h2>
        <IconButton icon="close" label="Close the introduction" size="sm" onClick={close} />
      </header>
      <ul>
        <li>
          <Kbd keys={commandKeys("run.run") ?? "Mod+Enter"} />
          <span>Run it. The picture appears on the last node.</span>
        </li>
        <li>
          <Kbd keys={commandKeys("app.palette") ?? "Mod+K"} />
          <span>Find every command, node and workflow.</span>
        </li>
        <li>
          <span className="sl-keys">
            <kbd className="sl-kbd">double click</kbd>
          </span>
          <span>Add a node, or drop a picture to open its workflow.</span>
        </li>
      </ul>
      <footer>
        <Button size="sm" onClick={() => openPanel("templates")} icon="templates">
          Browse templates
        </Button>
        <Button size="sm" variant="primary" onClick={close}>
          Got it
        </Button>
      </footer>
    </section>
  );
}
