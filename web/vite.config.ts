import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Where `safelight serve` listens while `npm run dev` serves the page. */
const server = process.env["SAFELIGHT_SERVER"] ?? "http://127.0.0.1:8188";

const proxied = Object.fromEntries(
  ["/api", "/internal", "/view", "/upload", "/docs", "/extensions", "/templates"].map((path) => [path, server]),
);

export default defineConfig({
  // Relative addresses: the same build works behind any path prefix.
  base: "./",
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: { outDir: "dist", target: "es2022", sourcemap: false, chunkSizeWarningLimit: 700,
    // What the first picture needs is kept in few files: many small ones compress worse.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "core", test: /src[\\/](graph|run|api|theme|canvas|nodes)[\\/](?!.*(LinkChooser|MarkdownText|inspect|ancestors|Popover|PackWidget|PackField|widgets[\\/][a-z]+[\\/]|parameterChecks|Minimap|preview[\\/]Shown|[bB]ridg|menus))/ }] } } },
  },
  server: { proxy: { ...proxied, "/ws": { target: server, ws: true } } },
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    // A file that needs a document says so itself: // @vitest-environment happy-dom
    maxWorkers: 2,
  },
});
