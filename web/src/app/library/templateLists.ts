/** The workflows to begin with: those of the server, and those that packs bring. */
import { getJson } from "@/api/client";

export interface Template {
  title: string;
  description: string;
  /** Paths on the server. */
  file: string;
  picture: string;
}

export interface Category {
  title: string;
  templates: readonly Template[];
}

interface OwnCategory {
  title: string;
  templates: readonly { name: string; title: string; mediaSubtype: string; description: string }[];
}

/** Fails when the server does not answer; packs whose workflows cannot be listed are left out. */
export async function readCategories(): Promise<readonly Category[]> {
  const ofPacks = getJson<Record<string, readonly string[]>>("workflow_templates").catch(() => ({}));
  const own = await getJson<OwnCategory[]>("templates/index.json");
  return [...own.map(ownCategory), ...Object.entries(await ofPacks).map(([pack, names]) => packCategory(pack, names))];
}

function ownCategory({ title, templates }: OwnCategory): Category {
  return {
    title,
    templates: templates.map(({ name, title: shown, mediaSubtype, description }) => {
      const path = `templates/${encodeURIComponent(name)}`;
      return { title: shown, description, file: `${path}.json`, picture: `${path}-1.${mediaSubtype}` };
    }),
  };
}

function packCategory(pack: string, names: readonly string[]): Category {
  return {
    title: pack,
    templates: names.map((name) => {
      const path = `workflow_templates/${encodeURIComponent(pack)}/${encodeURIComponent(name)}`;
      return { title: name.replaceAll("_", " "), description: `A workflow that the node pack ${pack} brings.`, file: `${path}.json`, picture: `${path}.jpg` };
    }),
  };
}
