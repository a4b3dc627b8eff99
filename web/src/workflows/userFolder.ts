import { getJson } from "@/api/client";

interface Entry {
  path: string;
  type: string;
}

/** The files in one of the user's folders, with what is below; none before anything was saved in it. */
export async function filesIn<T>(folder: string, query: string): Promise<T[]> {
  // Asked first because listing a folder that is not there yet is an error to the server, and to the browser's console.
  const top = await getJson<Entry[]>("api/v2/userdata?path=");
  if (!top.some((entry) => entry.type === "directory" && entry.path === folder)) return [];
  return getJson<T[]>(`api/userdata?dir=${encodeURIComponent(folder)}&recurse=true&split=false${query}`);
}
