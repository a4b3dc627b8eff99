import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import globals from "globals";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "node_modules", "src/api/schema.gen.ts"] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  reactHooks.configs.flat["recommended-latest"],
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/no-dynamic-delete": "off", // records keyed by id lose entries this way, on immer drafts
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-restricted-syntax": [
        "error",
        { selector: "CallExpression[callee.name='eval']", message: "The page runs under a strict content policy." },
      ],
    },
  },
  {
    // The core must run without a page: no React, no DOM.
    files: ["src/graph/**/*.ts"],
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["react", "react-dom", "@xyflow/*", "@/app/*", "@/canvas/*", "@/nodes/*", "@/panels/*", "@/run/*", "@/api/*"], message: "src/graph is free of frameworks and of the rest of the editor." }] },
      ],
      "no-restricted-globals": ["error", "window", "document", "localStorage", "navigator", "fetch"],
    },
  },
  {
    files: ["*.config.{js,ts}", "tests/**/*.ts", "src/**/*.test.{ts,tsx}", "src/**/testing/**/*.ts"],
    languageOptions: { globals: { ...globals.node } },
    rules: { "@typescript-eslint/no-non-null-assertion": "off" },
  },
);
