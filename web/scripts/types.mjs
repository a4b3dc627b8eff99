// Makes src/api/schema.gen.ts from openapi.json, the server's own description: a type per schema and per answer.
// Small on purpose: our description uses a small part of JSON Schema, and a generator of our own needs no TypeScript of its own.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const description = JSON.parse(readFileSync(here("../openapi.json"), "utf8"));

const NAMES = { string: "string", integer: "number", number: "number", boolean: "boolean", null: "null" };
const quoted = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));
const documented = (text, indent) => (text ? `${indent}/** ${text.replaceAll("*/", "*\\/").replaceAll("\n", " ")} */\n` : "");
const several = (types) => [...new Set(types)].join(" | ") || "unknown";
const listed = (type) => (/[ |]/.test(type) && !type.startsWith("{") ? `(${type})[]` : `${type}[]`);

function typeOf(schema, indent = "") {
  if (!schema || Object.keys(schema).length === 0) return "unknown";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.enum) return several(schema.enum.map((value) => JSON.stringify(value)));
  if (schema.anyOf ?? schema.oneOf) return several((schema.anyOf ?? schema.oneOf).map((one) => typeOf(one, indent)));
  if (Array.isArray(schema.type)) return several(schema.type.map((type) => typeOf({ ...schema, type }, indent)));
  if (schema.type === "array") return listed(typeOf(schema.items, indent));
  if (schema.type === "object" || schema.properties) return objectOf(schema, indent);
  if (schema.format === "binary") return "Blob";
  return NAMES[schema.type] ?? "unknown";
}

function objectOf(schema, indent) {
  const required = new Set(schema.required ?? []);
  const deeper = `${indent}  `;
  const lines = Object.entries(schema.properties ?? {}).map(
    ([name, value]) =>
      `${documented(value.description, deeper)}${deeper}${quoted(name)}${required.has(name) ? "" : "?"}: ${typeOf(value, deeper)};\n`,
  );
  if (lines.length > 0) return `{\n${lines.join("")}${indent}}`;
  const values = typeof schema.additionalProperties === "object" ? typeOf(schema.additionalProperties, indent) : "unknown";
  return `Record<string, ${values}>`;
}

function media(content, indent) {
  const json = content?.["application/json"]?.schema;
  return json ? typeOf(json, indent) : content ? "Blob" : "undefined";
}

const operations = Object.values(description.paths).flatMap((methods) => Object.values(methods));
const answers = operations.map((operation) => {
  const fine = Object.entries(operation.responses).find(([status]) => status < "300")?.[1];
  return `${documented(operation.summary, "  ")}  ${operation.operationId}: ${media(fine?.content, "  ")};\n`;
});
const bodies = operations
  .filter((operation) => operation.requestBody)
  .map((operation) => `  ${operation.operationId}: ${media(operation.requestBody.content, "  ")};\n`);
const schemas = Object.entries(description.components.schemas).map(
  ([name, schema]) => `${documented(schema.description, "")}export type ${name} = ${typeOf(schema)};\n`,
);

const text = [
  "// Made by scripts/types.mjs from openapi.json. Do not edit.\n",
  ...schemas,
  `/** What each operation answers. */\nexport interface Answers {\n${answers.join("")}}\n`,
  `/** What each operation takes. */\nexport interface Bodies {\n${bodies.join("")}}\n`,
].join("\n");
writeFileSync(here("../src/api/schema.gen.ts"), text);
