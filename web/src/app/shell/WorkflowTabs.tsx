import { useEffect, useRef, useState, type DragEvent, type KeyboardEvent, type MouseEvent } from "react";
import { newWorkflow } from "@/workflows/opening";
import { closeTab, rename } from "@/workflows/saving";
import { activate, moveTab, useTabDirty, useWorkspace, type Tab } from "@/workflows/workspace";
import { useCommandKeys } from "../commands/registry";
import { Icon, IconButton, classes, openMenu, type MenuItem } from "../ui";

const DRAGGED = "application/x-safelight-tab";

/** The open workflows. */
export function WorkflowTabs() {
  const tabs = useWorkspace((state) => state.tabs);
  const activeId = useWorkspace((state) => state.activeId);
  const row = useRef<HTMLDivElement>(null);
  const newKeys = useCommandKeys("workflow.new");
  useEffect(() => {
    row.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [activeId]);
  const keys = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.id === activeId);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    activate(next.id);
    row.current?.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  };
  return (
    <div className="sl-wtabs">
      <div className="sl-wtabs__row" role="tablist" aria-label="Open workflows" ref={row} onKeyDown={keys}>
        {tabs.map((tab, index) => (
          <WorkflowTab key={tab.id} tab={tab} active={tab.id === activeId} index={index} />
        ))}
      </div>
      <IconButton icon="plus" label="New workflow" size="sm" keys={newKeys} onClick={() => newWorkflow()} />
    </div>
  );
}

function WorkflowTab({ tab, active, index }: { tab: Tab; active: boolean; index: number }) {
  const dirty = useTabDirty(tab);
  const [target, setTarget] = useState(false);
  const drop = (event: DragEvent) => {
    setTarget(false);
    const id = event.dataTransfer.getData(DRAGGED);
    if (id) moveTab(id, index);
  };
  const menu = (event: MouseEvent) => {
    event.preventDefault();
    openMenu({ x: event.clientX, y: event.clientY, items: tabMenu(tab) });
  };
  const drag = {
    draggable: true,
    onDragStart: (event: DragEvent) => event.dataTransfer.setData(DRAGGED, tab.id),
    onDragOver: (event: DragEvent) => {
      if (!event.dataTransfer.types.includes(DRAGGED)) return;
      event.preventDefault();
      setTarget(true);
    },
    onDragLeave: () => setTarget(false),
    onDrop: drop,
  };
  return (
      <div className={classes("sl-wtab", active && "is-active", target && "is-target")} {...drag} onContextMenu={menu}>
        <button
          type="button"
          role="tab"
          data-tab={tab.id}
          aria-selected={active}
          tabIndex={active ? 0 : -1}
          className="sl-wtab__name"
          title={tab.path ?? tab.name}
          aria-label={dirty ? `${tab.name}, unsaved changes` : tab.name}
          onClick={() => activate(tab.id)}
          onDoubleClick={() => void rename(tab)}
          onAuxClick={(event) => event.button === 1 && void closeTab(tab)}
        >
          {tab.name}
        </button>
        <button type="button" className={classes("sl-wtab__close", dirty && "is-dirty")} aria-label={`Close ${tab.name}`} tabIndex={active ? 0 : -1} onClick={() => void closeTab(tab)}>
          <span className="sl-wtab__dot" aria-hidden />
          <Icon name="close" size={12} />
        </button>
      </div>
  );
}

/** Commands act on the workflow in view, so the tab comes into view first. */
function tabMenu(tab: Tab): MenuItem[] {
  activate(tab.id);
  const closeOthers = async () => {
    for (const other of useWorkspace.getState().tabs) if (other.id !== tab.id && !(await closeTab(other))) return;
  };
  return [
    ...["workflow.save", "workflow.saveAs", "workflow.rename", "workflow.duplicate", "workflow.revert"].map((command): MenuItem => ({ command })),
    "separator",
    { command: "workflow.export" },
    { command: "workflow.exportPrompt" },
    "separator",
    { command: "workflow.close" },
    { label: "Close the others", disabled: useWorkspace.getState().tabs.length < 2, onSelect: () => void closeOthers() },
  ];
}
