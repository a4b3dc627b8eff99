export * from "./nodes";
export * from "./links";
export * from "./groups";
export * from "./arrange";
export * from "./paste";
