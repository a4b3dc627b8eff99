import { useState } from "react";
import { resetSetting, setSetting, useSetting } from "../settings/settings";
import { SECTIONS, searchSections, type SettingRow } from "../settings/schema";
import { DEFAULTS } from "../settings/values";
import { Dialog, EmptyState, IconButton, Select, Slider, Switch, TextField } from "../ui";
import { AboutPage } from "./AboutPage";
import { KeyBindingsPage } from "./KeyBindingsPage";
import { closeDialog, useDialogs } from "./dialogState";

const PAGES = [...SECTIONS.map(({ id, title }) => ({ id, title })), { id: "keys", title: "Key bindings" }, { id: "about", title: "About" }];

/** Typing searches at once; with the close button focused it would do nothing. */
function focusSearch(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLInputElement>(".sl-settings__nav input")?.focus();
}

export function SettingsDialog() {
  const first = useDialogs((state) => state.page);
  const [page, setPage] = useState(first || "appearance");
  const [text, setText] = useState("");
  const searching = text.trim() !== "";
  return (
    <Dialog open onOpenChange={(open) => !open && closeDialog()} title="Settings" size="lg" className="sl-settings" onOpenAutoFocus={focusSearch}>
      <nav className="sl-settings__nav" aria-label="Settings">
        <TextField label="Search settings" hideLabel icon="search" clearable placeholder="Search…" value={text} onChange={setText} />
        {PAGES.map(({ id, title }) => (
          <button
            key={id}
            type="button"
            className="sl-settings__link"
            aria-current={!searching && page === id ? "page" : undefined}
            onClick={() => {
              setPage(id);
              setText("");
            }}
          >
            {title}
          </button>
        ))}
      </nav>
      <div className="sl-settings__page">{searching ? <Found text={text} /> : <Page id={page} />}</div>
    </Dialog>
  );
}

function Page({ id }: { id: string }) {
  if (id === "keys") return <KeyBindingsPage />;
  if (id === "about") return <AboutPage />;
  const section = SECTIONS.find((one) => one.id === id);
  if (!section) return null;
  return <Rows title={section.title} rows={section.rows} />;
}

function Found({ text }: { text: string }) {
  const found = searchSections(text);
  if (found.length === 0) return <EmptyState icon="search" title="No setting fits" />;
  return found.map((section) => <Rows key={section.id} title={section.title} rows={section.rows} />);
}

function Rows({ title, rows }: { title: string; rows: readonly SettingRow[] }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      {rows.map((row) => (
        <Row key={row.key} row={row} />
      ))}
    </section>
  );
}

function Row({ row }: { row: SettingRow }) {
  const value = useSetting(row.key);
  return (
    <div className="sl-setting">
      <div className="sl-setting__words">
        <p>{row.label}</p>
        {row.doc && <p className="sl-setting__doc">{row.doc}</p>}
      </div>
      {value !== DEFAULTS[row.key] && <IconButton icon="reset" size="sm" label={`Reset “${row.label}”`} onClick={() => resetSetting(row.key)} />}
      <div className="sl-setting__control">
        <Control row={row} />
      </div>
    </div>
  );
}

function Control({ row }: { row: SettingRow }) {
  const value = useSetting(row.key);
  switch (row.kind) {
    case "switch":
      return <Switch label={row.label} hideLabel checked={value as boolean} onChange={(next) => setSetting(row.key, next)} />;
    case "slider":
      return (
        <Slider
          label={row.label}
          value={value as number}
          min={row.min}
          max={row.max}
          step={row.step}
          format={(number) => `${Number(number.toFixed(2))}${row.unit ? ` ${row.unit}` : ""}`}
          onChange={(next) => setSetting(row.key, Number(next.toFixed(4)))}
        />
      );
    case "choice":
      return <Select label={row.label} hideLabel value={value as string} options={row.options} onChange={(next) => setSetting(row.key, next as never)} />;
  }
}
