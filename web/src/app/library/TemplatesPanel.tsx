import { useEffect, useState } from "react";
import { openTemplate } from "@/workflows/opening";
import { EmptyState, Icon, TextField } from "../ui";
import { type Category, readCategories, type Template } from "./templateLists";

/** Workflows that come with the server and with packs, with what they make. */
export function TemplatesPanel() {
  const [categories, setCategories] = useState<readonly Category[] | null>(null);
  const [failed, setFailed] = useState(false);
  const [text, setText] = useState("");
  useEffect(() => {
    readCategories().then(setCategories, () => setFailed(true));
  }, []);
  const query = text.trim().toLowerCase();
  const fits = (template: Template) => `${template.title} ${template.description}`.toLowerCase().includes(query);
  const shown = (categories ?? []).map((category) => ({ ...category, templates: category.templates.filter(fits) })).filter((category) => category.templates.length > 0);
  return (
    <>
      <div className="sl-panel__tools">
        <TextField label="Search templates" hideLabel icon="search" clearable placeholder="Search templates…" value={text} onChange={setText} />
      </div>
      <div className="sl-panel__scroll">
        {shown.map((category) => (
          <section key={category.title} aria-label={category.title}>
            {shown.length > 1 && <h3 className="sl-list-heading">{category.title}</h3>}
            <div className="sl-templates">
              {category.templates.map((template) => (
                <Card key={template.file} template={template} />
              ))}
            </div>
          </section>
        ))}
        {failed && <EmptyState icon="offline" title="Templates were not read" text="The server does not answer." />}
        {categories && shown.length === 0 && <EmptyState icon="templates" title="No template fits" />}
      </div>
    </>
  );
}

function Card({ template }: { template: Template }) {
  const [bare, setBare] = useState(false);
  return (
    <button type="button" className="sl-template" title={template.description} onClick={() => void openTemplate(template.file, template.title)}>
      {bare ? (
        <span className="sl-template__blank">
          <Icon name="image" size={28} />
        </span>
      ) : (
        <img src={template.picture} alt="" loading="lazy" onError={() => setBare(true)} />
      )}
      <span className="sl-template__words">
        <span className="sl-template__title">{template.title}</span>
      </span>
    </button>
  );
}
