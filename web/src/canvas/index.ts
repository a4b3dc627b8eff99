export { Canvas } from "./Canvas";
export { activeCanvas, useActiveCanvas } from "./handle";
export * from "./actions";
export type { CanvasHandle, CanvasProps, SearchRequest, SocketRef, Tool } from "./types";
