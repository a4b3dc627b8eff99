/** Resolves once what was just rendered is on the screen: for what is fetched only then, so that it delays nothing. */
export function afterPaint(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}
