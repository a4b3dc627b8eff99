import type { DocumentStore } from "@/graph/store";
import { useDocument } from "@/workflows/workspace";
import { runCommand, commandKeys, getCommand } from "../commands/registry";
import { Button, IconButton } from "../ui";
import { ColorSwatches } from "./ColorSwatches";
import { Section } from "./Section";

const ALIGN = ["node.align.left", "node.align.centerX", "node.align.right", "node.align.top", "node.align.centerY", "node.align.bottom", "node.distribute.horizontal", "node.distribute.vertical"];
const ACTIONS = ["node.group", "subgraph.create", "node.mute", "node.bypass", "edit.duplicate", "edit.delete"];

/** Several nodes at once. */
export function ManySection({ store }: { store: DocumentStore }) {
  const count = useDocument(store, (state) => state.selection.nodes.size);
  return (
    <>
      <Section>
        <strong>{count} nodes selected</strong>
      </Section>
      <Section title="Align and distribute">
        <div className="sl-swatches">
          {ALIGN.map((id) => {
            const command = getCommand(id);
            return command && <IconButton key={id} icon={command.icon ?? "ruler"} label={command.title} keys={commandKeys(id)} onClick={() => runCommand(id)} />;
          })}
        </div>
      </Section>
      <Section title="Colour">
        <ColorSwatches store={store} />
      </Section>
      <Section>
        <div className="sl-swatches">
          {ACTIONS.map((id) => {
            const command = getCommand(id);
            return (
              command && (
                <Button key={id} size="sm" icon={command.icon} onClick={() => runCommand(id)}>
                  {command.title}
                </Button>
              )
            );
          })}
        </div>
      </Section>
    </>
  );
}
