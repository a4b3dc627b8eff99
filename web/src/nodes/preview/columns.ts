/** How many of some pictures stand side by side. */
export function columns(count: number): number {
  return count <= 1 ? 1 : count <= 4 ? 2 : Math.ceil(Math.sqrt(count));
}
