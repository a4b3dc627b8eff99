export { addFromSearch } from "./add";
export { copySelection, cutSelection, duplicateSelection, pasteClipboard, pasteText, selectionText } from "./clipboard";
export { COLOR_NAMES, COLORS, type ColorName } from "./colors";
export * from "./selection";
export { enterSelection, isInstance, leaveSubgraph, toSubgraphSelection, unpackSelection } from "./subgraphs";
