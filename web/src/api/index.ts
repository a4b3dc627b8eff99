export * from "./calls";
export * from "./client";
export type { ValueDescription, Converted, LogEntry } from "./schema.gen";
export { clientId, jobId, randomId } from "./session";
