import { CompareView } from "./CompareSlider";
import { ReportView } from "./ErrorReport";
import type { OpenWorkflow } from "./jobWorkflow";
import { Lightbox } from "./Lightbox";

/** Full-screen view, comparison and error report: mounted once. */
export function RunOverlays({ onLoadWorkflow }: { onLoadWorkflow?: OpenWorkflow }) {
  return (
    <>
      <Lightbox onLoadWorkflow={onLoadWorkflow} />
      <CompareView />
      <ReportView />
    </>
  );
}
