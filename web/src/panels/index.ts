export { CompareSlider } from "./CompareSlider";
export { ErrorReport } from "./ErrorReport";
export { GalleryPanel } from "./GalleryPanel";
export { LogPanel } from "./LogPanel";
export { chooseForCompare, openCompare, openErrorReport, openLightbox, openOutputs, type LightboxItem } from "./overlays";
export { QueuePanel } from "./QueuePanel";
export { RunOverlays } from "./RunOverlays";
