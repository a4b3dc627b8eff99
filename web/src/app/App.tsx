/** Placeholder until the shell exists. */
export function App() {
  return <main>Safelight</main>;
}
