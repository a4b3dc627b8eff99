/** What keeps a name from being one that every file system takes; null if nothing. */
export function nameProblem(name: string): string | null {
  if (/[\\:*?"<>|]/.test(name) || [...name].some((character) => character < " ")) return 'Names cannot have any of \\ : * ? " < > |';
  if (name.split("/").some((part) => part === "" || part.startsWith(".") || part.endsWith(" ") || part.endsWith("."))) return "A part of the name is empty, or begins or ends with a dot.";
  if (name.length > 180) return "The name is too long.";
  return null;
}
