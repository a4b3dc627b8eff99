export { NodeContext, useNodePlace } from "./context";
export { NodeWidget } from "./NodeWidget";
export { Widget } from "./widgets/Widget";
