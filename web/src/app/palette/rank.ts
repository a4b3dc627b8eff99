/** How well an entry of the palette fits what was typed: 0 leaves it out. The first keyword is its title. */
export function rank(_value: string, search: string, keywords: string[] = []): number {
  const title = (keywords[0] ?? "").toLowerCase();
  const all = keywords.join(" ").toLowerCase();
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => all.includes(word))) return 0;
  const query = words.join(" ");
  if (title === query) return 1;
  if (title.startsWith(query)) return 0.9;
  if (words.every((word) => title.split(/[^\p{L}\p{N}]+/u).some((part) => part.startsWith(word)))) return 0.7;
  if (words.every((word) => title.includes(word))) return 0.5;
  return 0.2;
}
